#include "torch_legacy.h"

#include <map>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "pickle.h"
#include "pickle_calls.h"
#include "tar.h"
#include "torch_tensors.h"

namespace easel {
namespace {

constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // little-endian
constexpr int64_t kStreamProtocol = 1001;

// Bytes of storages in the file, by key.
using Storages = std::map<std::string, std::span<const std::byte>>;

void check_sys_info(const Pickle& info) {
  const auto* dict = info.get<PickleDict>(info.root);
  if (dict == nullptr) fail("its system information is {}", pickle_kind(info[info.root]));
  for (const auto& [key, value] : dict->entries) {
    const auto* little = info.get<bool>(value);
    if (pickle_text(info, key) == "little_endian" && little != nullptr && !*little) {
      fail("it was written on a big-endian machine; only little-endian files can be read");
    }
  }
}

// An int64 count, then that many items.
std::span<const std::byte> take_storage(Cursor& in, const std::string& key, at::ScalarType dtype) {
  const auto num_items = in.number<int64_t>();
  const auto item_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  int64_t num_bytes = 0;
  if (num_items < 0 || __builtin_mul_overflow(num_items, item_bytes, &num_bytes)) {
    fail("the storage '{}' claims {} items", printable(key), num_items);
  }
  return in.take(static_cast<uint64_t>(num_bytes));
}

LoadStorage loader(const Storages& storages, const std::shared_ptr<const MappedFile>& file) {
  return [&storages, file](const PickleStorage& storage) {
    const auto found = storages.find(storage.key);
    if (found == storages.end())
      fail("its storage '{}' is not in the file", printable(storage.key));
    return storage_bytes(found->second, file);
  };
}

const std::vector<PickleId>& items_of(const Pickle& pickle, PickleId id, std::string_view what) {
  if (const auto* list = pickle.get<PickleList>(id)) return list->items;
  if (const auto* tuple = pickle.get<PickleTuple>(id)) return tuple->items;
  fail("{} is {}", what, pickle_kind(pickle[id]));
}

int64_t int_of(const Pickle& pickle, PickleId id, std::string_view what) {
  const auto* value = pickle.get<int64_t>(id);
  if (value == nullptr) fail("{} is {}", what, pickle_kind(pickle[id]));
  return *value;
}

// A tar names its objects by numbers (protocol 0: as text).
std::string tar_key(const Pickle& pickle, PickleId id) {
  if (const auto text = pickle_text(pickle, id)) return *text;
  return std::to_string(int_of(pickle, id, "an object's key"));
}

struct TarObjects {
  std::map<std::string, PickleStoragePtr> storages;
  std::map<std::string, PickleTensorPtr> tensors;
  Storages bytes;
};

void read_tar_storages(std::span<const std::byte> entry, TarObjects& objects) {
  Cursor in(entry, "the tar's entry 'storages'");
  const Pickle count = read_pickle(in);
  const int64_t num_storages = int_of(count, count.root, "the number of storages");
  for (int64_t i = 0; i < num_storages; ++i) {
    const Pickle head = read_pickle(in);
    const auto& parts = items_of(head, head.root, "a storage's head");
    const auto* type = parts.size() == 3 ? head.get<PickleGlobal>(parts[2]) : nullptr;
    const auto dtype = type == nullptr ? std::nullopt : storage_class_dtype(type->name);
    if (!dtype) fail("the tar's storage {} has a head that is not understood", i);
    auto storage = std::make_shared<PickleStorage>();
    storage->key = tar_key(head, parts[0]);
    storage->class_name = type->name;
    storage->dtype = dtype;
    const auto bytes = take_storage(in, storage->key, *dtype);
    storage->num_items = static_cast<int64_t>(bytes.size() / c10::elementSize(*dtype));
    objects.bytes[storage->key] = bytes;
    objects.storages[storage->key] = std::move(storage);
  }
  const Pickle views = read_pickle(in);
  for (const PickleId id : items_of(views, views.root, "the list of storage views")) {
    const auto& parts = items_of(views, id, "a storage view");
    if (parts.size() != 4) fail("a storage view has {} parts", parts.size());
    const auto root = objects.storages.find(tar_key(views, parts[1]));
    if (root == objects.storages.end()) fail("a storage view's storage is missing");
    auto view = std::make_shared<PickleStorage>(*root->second);
    view->view = PickleStorageView{.key = tar_key(views, parts[0]),
                                   .offset = int_of(views, parts[2], "a view's offset"),
                                   .num_items = int_of(views, parts[3], "a view's size")};
    const std::string key = view->view->key;
    objects.storages[key] = std::move(view);
  }
}

void read_tar_tensors(std::span<const std::byte> entry, TarObjects& objects) {
  Cursor in(entry, "the tar's entry 'tensors'");
  const Pickle count = read_pickle(in);
  const int64_t num_tensors = int_of(count, count.root, "the number of tensors");
  for (int64_t i = 0; i < num_tensors; ++i) {
    const Pickle head = read_pickle(in);
    const auto& parts = items_of(head, head.root, "a tensor's head");
    if (parts.size() != 3) fail("a tensor's head has {} parts", parts.size());
    const auto storage = objects.storages.find(tar_key(head, parts[1]));
    if (storage == objects.storages.end()) fail("the storage of the tar's tensor {} is missing", i);
    const auto num_dims = in.number<int32_t>();
    in.take(4);  // written as 8 bytes
    if (num_dims < 0 || num_dims > 64) fail("the tar's tensor {} has {} dimensions", i, num_dims);
    auto tensor = std::make_shared<PickleTensor>();
    tensor->storage = storage->second;
    tensor->dtype = storage->second->dtype;
    for (int32_t d = 0; d < num_dims; ++d) tensor->sizes.push_back(in.number<int64_t>());
    for (int32_t d = 0; d < num_dims; ++d) tensor->strides.push_back(in.number<int64_t>());
    tensor->offset = in.number<int64_t>();
    objects.tensors[tar_key(head, parts[0])] = std::move(tensor);
  }
}

}  // namespace

TensorFile read_torch_stream(const std::shared_ptr<const MappedFile>& file) {
  Cursor in(file->bytes(), "the file");
  const Pickle magic = read_pickle(in);
  const auto* number = magic.get<PickleBigInt>(magic.root);
  if (number == nullptr || number->little_endian != kMagic) {
    fail("it is a pickle, but none that torch.save wrote (its magic number is missing)");
  }
  const Pickle protocol = read_pickle(in);
  if (const int64_t got = int_of(protocol, protocol.root, "its protocol"); got != kStreamProtocol) {
    fail("its protocol is {}, not {}", got, kStreamProtocol);
  }
  check_sys_info(read_pickle(in));

  std::map<std::string, at::ScalarType> dtypes;
  const Pickle pickle = read_pickle(in, [&dtypes](const Pickle& values, PickleId id) {
    PickleValue value = torch_persistent_id(values, id);
    if (const auto* storage = std::get_if<PickleStoragePtr>(&value)) {
      if (!(*storage)->dtype) fail("a storage's class {} is not known", (*storage)->class_name);
      dtypes.emplace((*storage)->key, *(*storage)->dtype);
    }
    return value;
  });

  const Pickle keys = read_pickle(in);
  Storages storages;
  for (const PickleId id : items_of(keys, keys.root, "the list of storages")) {
    const auto key = pickle_text(keys, id);
    const auto dtype = key ? dtypes.find(*key) : dtypes.end();
    if (dtype == dtypes.end()) fail("a storage is listed that no tensor uses");
    if (!storages.try_emplace(*key, take_storage(in, *key, dtype->second)).second) {
      fail("the storage '{}' is listed twice", printable(*key));
    }
  }
  return collect_tensors(pickle, loader(storages, file));
}

TensorFile read_torch_tar(const std::shared_ptr<const MappedFile>& file) {
  const auto entries = read_tar(file->bytes());
  for (const char* name : {"pickle", "storages", "tensors"}) {
    if (!entries.contains(name)) fail("it is a tar, but not torch.save's: it has no '{}'", name);
  }
  if (const auto info = entries.find("sys_info"); info != entries.end()) {
    Cursor in(info->second, "the tar's entry 'sys_info'");
    check_sys_info(read_pickle(in));
  }
  TarObjects objects;
  read_tar_storages(entries.at("storages"), objects);
  read_tar_tensors(entries.at("tensors"), objects);

  Cursor in(entries.at("pickle"), "the tar's entry 'pickle'");
  const Pickle pickle = read_pickle(in, [&](const Pickle& values, PickleId id) -> PickleValue {
    if (const auto* tuple = values.get<PickleTuple>(id)) {  // (class, its source ...)
      const auto* type = tuple->items.empty() ? nullptr : values.get<PickleGlobal>(tuple->items[0]);
      if (type == nullptr) fail("a persistent id names no class");
      return *type;
    }
    const std::string key = tar_key(values, id);
    if (const auto tensor = objects.tensors.find(key); tensor != objects.tensors.end()) {
      return tensor->second;
    }
    const auto storage = objects.storages.find(key);
    if (storage == objects.storages.end()) fail("the object {} is missing", printable(key));
    return storage->second;
  });
  return collect_tensors(pickle, loader(objects.bytes, file));
}

}  // namespace easel
