// The few Python callables that a checkpoint's pickle may mean, and what they make. Nothing else is
// ever called.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pickle_value.h"

namespace easel {

// True for the globals whose meaning is known, be it only that they carry no tensor.
bool is_known_global(std::string_view name);

// The dtype of a storage class ("torch.FloatStorage") or of a dtype ("torch.float32").
std::optional<at::ScalarType> storage_class_dtype(std::string_view name);
std::optional<at::ScalarType> torch_dtype(std::string_view name);

// What calling the global `name` gives: a container, a tensor's description, or an opaque value.
// Throws Error where the arguments do not fit a callable that is known.
PickleValue call_global(Pickle& pickle, const std::string& name, std::span<const PickleId> args);

}  // namespace easel
