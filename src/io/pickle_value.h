// What a pickle holds once it is read: plain values, and tensors as descriptions without data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

namespace easel {

// Values refer to each other by number: shared and cyclic structures cost nothing to free, however
// deep they are.
using PickleId = uint32_t;
using PickleEntries = std::vector<std::pair<PickleId, PickleId>>;  // keys and values, as stored

struct PickleNone {};
struct PickleBytes {
  std::string bytes;
};
struct PickleBigInt {
  std::string little_endian;  // two's complement, more than 8 bytes
};
struct PickleTuple {
  std::vector<PickleId> items;
};
struct PickleList {
  std::vector<PickleId> items;
};
struct PickleSet {
  std::vector<PickleId> items;
};
struct PickleDict {
  PickleEntries entries;
};
struct PickleGlobal {
  std::string name;  // "module.name"
};
// Whatever a global that is not known would have made. Entries are those a dict subclass was given.
struct PickleOpaque {
  std::string name;
  PickleEntries entries;
};

// A part of another storage, in items of the storage's dtype (files of PyTorch before 0.4).
struct PickleStorageView {
  std::string key;
  int64_t offset = 0;
  int64_t num_items = 0;
};
struct PickleStorage {
  std::string key;
  std::string class_name;               // "torch.FloatStorage"
  std::optional<at::ScalarType> dtype;  // nullopt: a class that is not known
  int64_t num_items = 0;
  std::optional<PickleStorageView> view;
};
using PickleStoragePtr = std::shared_ptr<const PickleStorage>;

// Nothing in it is checked but the number of dimensions.
struct PickleTensor {
  PickleStoragePtr storage;
  std::optional<at::ScalarType> dtype;
  int64_t offset = 0;  // in items of `dtype`, as are the strides
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  std::string unsupported;  // why it cannot be built; empty where it can
};
using PickleTensorPtr = std::shared_ptr<const PickleTensor>;

using PickleValue = std::variant<PickleNone, bool, int64_t, double, std::string, PickleBytes,
                                 PickleBigInt, PickleTuple, PickleList, PickleSet, PickleDict,
                                 PickleGlobal, PickleOpaque, PickleStoragePtr, PickleTensorPtr>;

// "a tuple", "a str" ...: how messages call a value.
std::string pickle_kind(const PickleValue& value);

// Owns the values of one pickle.
class Pickle {
 public:
  // Throws Error where the values take too much memory.
  PickleId add(PickleValue value);

  // Counts `count` more steps or values against the same limit; also for what is copied from one
  // value into another, so that a few bytes cannot copy a large container again and again.
  void charge(uint64_t count);

  const PickleValue& operator[](PickleId id) const { return values_[id]; }

  // The value if it is a T, else null. The pointer stays valid until the value itself is replaced.
  template <class T>
  T* get(PickleId id) {
    return std::get_if<T>(&values_[id]);
  }
  template <class T>
  const T* get(PickleId id) const {
    return std::get_if<T>(&values_[id]);
  }

  PickleId root = 0;
  std::set<std::string> unknown_globals;

 private:
  std::deque<PickleValue> values_;
  uint64_t charged_ = 0;
};

// A str, or the bytes that a Python 2 str became.
std::optional<std::string> pickle_text(const Pickle& pickle, PickleId id);

}  // namespace easel
