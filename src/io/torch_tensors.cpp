#include "torch_tensors.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>

#include "checked.h"
#include "pickle_calls.h"

namespace easel {
namespace {

constexpr size_t kAlignment = 8;  // alignof every dtype's items
constexpr int kMaxDepth = 64;
constexpr uint64_t kMaxVisits = uint64_t{1} << 22;
constexpr size_t kMaxName = 4096;
constexpr size_t kMaxMetadata = 4096;
constexpr uint64_t kMaxExpandedBytes = 64 << 20;

// Builds tensors; those of one storage share it.
class TensorBuilder {
 public:
  explicit TensorBuilder(const LoadStorage& load_storage) : load_storage_(load_storage) {}

  Tensor build(const PickleTensor& tensor) {
    if (!tensor.unsupported.empty()) fail("it cannot be read: {}", tensor.unsupported);
    const at::ScalarType dtype = *tensor.dtype;
    if (c10::isQIntType(dtype))
      fail("it is quantised ({}), which cannot be read", dtype_name(dtype));
    const auto item_bytes = static_cast<uint64_t>(c10::elementSize(dtype));

    const PickleStorage& storage = *tensor.storage;
    const Tensor bytes = load(storage);
    uint64_t begin = 0;
    auto available = static_cast<uint64_t>(bytes.numel());
    if (storage.view) {
      const auto storage_item = static_cast<uint64_t>(c10::elementSize(*storage.dtype));
      begin = view_begin(*storage.view, storage_item, available);
      available = static_cast<uint64_t>(storage.view->num_items) * storage_item;
    }
    check_extent(tensor, item_bytes, available);
    if (begin % item_bytes != 0) fail("its storage's view starts between two items");
    if (dtype == at::kBool) check_bools(bytes);
    const auto offset = static_cast<int64_t>(begin / item_bytes) + tensor.offset;
    return at::empty({0}, at::TensorOptions().dtype(dtype))
        .set_(bytes.storage(), offset, tensor.sizes, tensor.strides);
  }

 private:
  Tensor load(const PickleStorage& storage) {
    auto found = loaded_.find(storage.key);
    if (found == loaded_.end()) {
      found = loaded_.emplace(storage.key, load_storage_(storage)).first;
    }
    const auto actual = static_cast<uint64_t>(found->second.numel());
    const uint64_t item_bytes = storage.dtype ? c10::elementSize(*storage.dtype) : 1;
    if (storage.num_items < 0 || actual / item_bytes != static_cast<uint64_t>(storage.num_items)) {
      fail("its storage '{}' has {} bytes, but {} items of {} bytes are expected",
           printable(storage.key), actual, storage.num_items, item_bytes);
    }
    return found->second;
  }

  static uint64_t view_begin(const PickleStorageView& view, uint64_t item_bytes, uint64_t bytes) {
    const auto items = static_cast<int64_t>(bytes / item_bytes);
    if (view.offset < 0 || view.num_items < 0 || view.offset > items ||
        view.num_items > items - view.offset) {
      fail("its storage is a view of items {} to {}+{} of {}", view.offset, view.offset,
           view.num_items, items);
    }
    return static_cast<uint64_t>(view.offset) * item_bytes;
  }

  static void check_extent(const PickleTensor& tensor, uint64_t item_bytes, uint64_t available) {
    const std::string shape =
        fmt::format("shape {}, strides {}, offset {}", shape_text(tensor.sizes),
                    shape_text(tensor.strides), tensor.offset);
    const auto logical_bytes = checked_bytes(tensor.sizes, item_bytes);
    const bool negative = std::ranges::any_of(tensor.strides, [](int64_t s) { return s < 0; });
    if (!logical_bytes || negative || tensor.offset < 0 ||
        tensor.sizes.size() != tensor.strides.size()) {
      fail("its {} make no sense", shape);
    }
    const uint64_t items = available / item_bytes;
    auto last = static_cast<uint64_t>(tensor.offset);  // one behind the furthest item
    bool fits = true;
    if (*logical_bytes > 0) {
      ++last;
      for (size_t i = 0; i < tensor.sizes.size(); ++i) {
        uint64_t reach = 0;
        fits = fits &&
               !__builtin_mul_overflow(static_cast<uint64_t>(tensor.sizes[i] - 1),
                                       static_cast<uint64_t>(tensor.strides[i]), &reach) &&
               !__builtin_add_overflow(last, reach, &last);
      }
    }
    if (!fits || last > items) {
      fail("its {} reach beyond its storage of {} items", shape, items);
    }
    if (*logical_bytes > std::max(available, kMaxExpandedBytes)) {
      fail("its {} blow {} bytes up to {}", shape, available, *logical_bytes);
    }
  }

  static void check_bools(const Tensor& bytes) {
    if (bytes.gt(1).any().item<bool>()) fail("it is bool but holds bytes other than 0 and 1");
  }

  const LoadStorage& load_storage_;
  std::unordered_map<std::string, Tensor> loaded_;
};

const PickleEntries* mapping(const Pickle& pickle, PickleId id) {
  if (const auto* dict = pickle.get<PickleDict>(id)) return &dict->entries;
  if (const auto* opaque = pickle.get<PickleOpaque>(id)) return &opaque->entries;
  return nullptr;
}

// A dict's key as a part of a tensor's name.
std::string key_text(const Pickle& pickle, PickleId id) {
  if (auto text = pickle_text(pickle, id)) return std::move(*text);
  if (const auto* number = pickle.get<int64_t>(id)) return std::to_string(*number);
  if (const auto* global = pickle.get<PickleGlobal>(id)) return global->name;
  if (const auto* opaque = pickle.get<PickleOpaque>(id)) return opaque->name;
  return pickle_kind(pickle[id]);
}

// Walks dicts, lists and tuples and builds the tensors in them.
class Collector {
 public:
  Collector(const Pickle& pickle, const LoadStorage& load_storage)
      : pickle_(pickle), builder_(load_storage) {}

  std::map<std::string, Tensor> collect(PickleId id) {
    visit(id, 0);
    return std::move(tensors_);
  }

 private:
  void visit(PickleId id, int depth) {
    if (++num_visits_ > kMaxVisits) {
      fail("it holds more than {} values when those that are shared are counted each time",
           kMaxVisits);
    }
    if (depth > kMaxDepth) {
      fail("'{}' is nested more than {} deep, or contains itself", printable(name_), kMaxDepth);
    }
    if (const auto* tensor = pickle_.get<PickleTensorPtr>(id)) add(**tensor);
    if (const auto* opaque = pickle_.get<PickleOpaque>(id);
        opaque != nullptr && opaque->name.starts_with("torch._utils._rebuild_")) {
      fail("the tensor '{}' was saved by {}, which cannot be read: save a dense tensor",
           printable(name_), opaque->name);
    }
    if (const auto* entries = mapping(pickle_, id)) visit_entries(*entries, depth);
    if (const auto* list = pickle_.get<PickleList>(id)) visit_items(list->items, depth);
    if (const auto* tuple = pickle_.get<PickleTuple>(id)) visit_items(tuple->items, depth);
  }

  void visit_items(const std::vector<PickleId>& items, int depth) {
    for (size_t i = 0; i < items.size(); ++i) visit_named(std::to_string(i), items[i], depth);
  }

  // As in Python, the last of equal keys counts.
  void visit_entries(const PickleEntries& entries, int depth) {
    std::unordered_map<std::string, PickleId> last;
    for (const auto& [key, value] : entries) {
      if (++num_visits_ > kMaxVisits) break;  // visit() says so
      last.insert_or_assign(key_text(pickle_, key), value);
    }
    for (const auto& [key, value] : last) {
      if (!is_scalar(value)) visit_named(key, value, depth);
    }
  }

  bool is_scalar(PickleId id) const {
    const PickleValue& value = pickle_[id];
    return std::holds_alternative<PickleNone>(value) || std::holds_alternative<int64_t>(value) ||
           std::holds_alternative<bool>(value) || std::holds_alternative<double>(value) ||
           std::holds_alternative<std::string>(value);
  }

  void visit_named(const std::string& part, PickleId id, int depth) {
    const size_t length = name_.size();
    if (depth > 0) name_ += '.';
    name_ += part;
    if (name_.size() > kMaxName) {
      fail("a tensor's name has more than {} bytes: '{}'", kMaxName, printable(name_));
    }
    visit(id, depth + 1);
    name_.resize(length);
  }

  void add(const PickleTensor& tensor) {
    const std::string name = name_.empty() ? "tensor" : name_;
    if (!is_valid_utf8(name)) fail("the tensor name '{}' is not valid UTF-8", printable(name));
    Tensor built;
    try {
      built = builder_.build(tensor);
    } catch (const Error& error) {
      fail("tensor '{}': {}", printable(name), error.what());
    }
    if (!tensors_.try_emplace(name, std::move(built)).second) {
      fail("two tensors are called '{}'", printable(name));
    }
  }

  const Pickle& pickle_;
  TensorBuilder builder_;
  std::map<std::string, Tensor> tensors_;
  std::string name_;
  uint64_t num_visits_ = 0;
};

std::map<std::string, std::string> collect_metadata(const Pickle& pickle) {
  std::map<std::string, std::string> metadata;
  const auto* top = pickle.get<PickleDict>(pickle.root);
  if (top == nullptr) return metadata;
  for (const auto& [key, value] : top->entries) {
    const auto name = pickle_text(pickle, key);
    if (!name) continue;
    std::string text;
    if (auto str = pickle_text(pickle, value))
      text = std::move(*str);
    else if (const auto* boolean = pickle.get<bool>(value))
      text = *boolean ? "true" : "false";
    else if (const auto* integer = pickle.get<int64_t>(value))
      text = std::to_string(*integer);
    else if (const auto* real = pickle.get<double>(value))
      text = fmt::format("{}", *real);
    else
      continue;
    metadata.insert_or_assign(printable(*name, kMaxMetadata), printable(text, kMaxMetadata));
  }
  return metadata;
}

}  // namespace

Tensor storage_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  const auto num_bytes = static_cast<int64_t>(bytes.size());
  if (bytes.empty()) return at::empty({0}, at::kByte);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    Tensor copy = at::empty({num_bytes}, at::kByte);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), {num_bytes},
      [keep = std::move(owner)](void*) mutable { keep.reset(); }, at::kByte);
}

PickleValue torch_persistent_id(const Pickle& pickle, PickleId id) {
  const auto* tuple = pickle.get<PickleTuple>(id);
  if (tuple == nullptr || tuple->items.empty())
    fail("a persistent id is {}", pickle_kind(pickle[id]));
  const std::vector<PickleId>& items = tuple->items;
  const auto kind = pickle_text(pickle, items[0]);
  if (kind == "module" && items.size() >= 2) {
    if (const auto* type = pickle.get<PickleGlobal>(items[1])) return *type;
  }
  if (kind != "storage" || items.size() < 5 || items.size() > 6) {
    fail("a persistent id of {} parts is no storage", items.size());
  }
  const auto* type = pickle.get<PickleGlobal>(items[1]);
  const auto key = pickle_text(pickle, items[2]);
  const auto* num_items = pickle.get<int64_t>(items[4]);
  if (type == nullptr || !key || num_items == nullptr) {
    fail("a storage's persistent id is malformed");
  }
  const bool plain = !key->empty() && key->size() <= 128 &&
                     key->find_first_of("/\\") == key->npos && key->find("..") == key->npos;
  if (!plain) fail("a storage's key is '{}', which is no name inside of the file", printable(*key));
  auto storage = std::make_shared<PickleStorage>();
  storage->key = *key;
  storage->class_name = type->name;
  storage->dtype = storage_class_dtype(type->name);
  storage->num_items = *num_items;
  if (items.size() == 6 && pickle.get<PickleNone>(items[5]) == nullptr) {
    const auto* view = pickle.get<PickleTuple>(items[5]);
    if (view == nullptr || view->items.size() != 3) fail("a storage's view is malformed");
    const auto view_key = pickle_text(pickle, view->items[0]);
    const auto* offset = pickle.get<int64_t>(view->items[1]);
    const auto* size = pickle.get<int64_t>(view->items[2]);
    if (!view_key || offset == nullptr || size == nullptr || !storage->dtype) {
      fail("a storage's view is malformed");
    }
    storage->view = PickleStorageView{.key = *view_key, .offset = *offset, .num_items = *size};
  }
  return PickleStoragePtr(std::move(storage));
}

TensorFile collect_tensors(const Pickle& pickle, const LoadStorage& load_storage) {
  PickleId wanted = pickle.root;
  if (const auto* top = mapping(pickle, pickle.root)) {
    for (const auto& [key, value] : *top) {
      if (pickle_text(pickle, key) == "state_dict" && mapping(pickle, value) != nullptr) {
        wanted = value;
      }
    }
  }
  TensorFile file;
  file.tensors = Collector(pickle, load_storage).collect(wanted);
  file.metadata = collect_metadata(pickle);
  file.unknown_globals.assign(pickle.unknown_globals.begin(), pickle.unknown_globals.end());
  if (file.tensors.empty()) {
    std::string hint;
    if (const auto* object = pickle.get<PickleOpaque>(wanted)) {
      hint = fmt::format("; it is a whole object of {}: save its state_dict() instead",
                         printable(object->name));
    }
    fail("it holds no tensor in {}{}", pickle_kind(pickle[wanted]), hint);
  }
  return file;
}

}  // namespace easel
