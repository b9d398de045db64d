#include "pickle_value.h"

#include <array>
#include <string_view>

#include <easel/base/error.h>

namespace easel {
namespace {

// Steps and values. Far above real checkpoints (some 200,000); about 1 GB of memory at worst.
constexpr uint64_t kMaxWork = uint64_t{1} << 24;

// The memory of a value's parts that no byte of the pickle stands for, in values.
uint64_t hidden_weight(const PickleValue& value) {
  if (const auto* opaque = std::get_if<PickleOpaque>(&value)) return opaque->name.size() / 64;
  if (const auto* tensor = std::get_if<PickleTensorPtr>(&value)) {
    return 4 + (*tensor)->sizes.size() / 4;
  }
  if (const auto* storage = std::get_if<PickleStoragePtr>(&value)) {
    return 4 + ((*storage)->key.size() + (*storage)->class_name.size()) / 64;
  }
  return 0;
}

}  // namespace

std::string pickle_kind(const PickleValue& value) {
  static constexpr std::array<std::string_view, std::variant_size_v<PickleValue>> kNames{
      "None",   "a bool", "an int", "a float", "a str",     "bytes",     "a large int", "a tuple",
      "a list", "a set",  "a dict", "a class", "an object", "a storage", "a tensor"};
  std::string kind(kNames[value.index()]);
  if (const auto* global = std::get_if<PickleGlobal>(&value)) {
    kind = "the global " + printable(global->name);
  }
  if (const auto* opaque = std::get_if<PickleOpaque>(&value)) {
    kind += " of " + printable(opaque->name);
  }
  return kind;
}

PickleId Pickle::add(PickleValue value) {
  charge(1 + hidden_weight(value));
  values_.push_back(std::move(value));
  return static_cast<PickleId>(values_.size() - 1);
}

void Pickle::charge(uint64_t count) {
  charged_ += count;
  if (charged_ > kMaxWork) {
    fail("the pickle takes more than {} steps and values, far more than a checkpoint does",
         kMaxWork);
  }
}

std::optional<std::string> pickle_text(const Pickle& pickle, PickleId id) {
  if (const auto* text = pickle.get<std::string>(id)) return *text;
  if (const auto* bytes = pickle.get<PickleBytes>(id)) return bytes->bytes;
  return std::nullopt;
}

}  // namespace easel
