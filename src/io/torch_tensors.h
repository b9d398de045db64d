// From a pickle's descriptions to tensors, for all of torch.save's formats.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include <easel/base/tensor.h>
#include <easel/io/tensor_file.h>

#include "pickle_value.h"

namespace easel {

// The bytes of a storage, 1-D uint8, aligned for every dtype. Called once for each storage that a
// wanted tensor uses. Throws Error where the file has no such storage.
using LoadStorage = std::function<Tensor(const PickleStorage&)>;

// `bytes`, which lie in memory that `owner` keeps, as LoadStorage returns them: a view, or a copy
// where they are not aligned.
Tensor storage_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

// The persistent ids of torch.save: ("storage", class, key, location, num_items[, view]), and
// ("module", class, ...) of old files.
PickleValue torch_persistent_id(const Pickle& pickle, PickleId id);

// Tensors and metadata of what was given to torch.save, as read_torch_file documents them; `format`
// is left empty. Throws Error where a wanted tensor is malformed or there is none.
TensorFile collect_tensors(const Pickle& pickle, const LoadStorage& load_storage);

}  // namespace easel
