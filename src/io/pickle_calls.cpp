#include "pickle_calls.h"

#include <algorithm>
#include <array>

#include <easel/base/error.h>
#include <easel/base/tensor.h>

#include "pickle_text.h"

namespace easel {
namespace {

constexpr size_t kMaxDims = 64;

using Args = std::span<const PickleId>;

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 4> kDicts{"collections.OrderedDict", "builtins.dict",
                                                 "collections.defaultdict", "collections.Counter"};
constexpr std::array<std::string_view, 7> kRebuilds{"torch._utils._rebuild_tensor",
                                                    "torch._utils._rebuild_tensor_v2",
                                                    "torch._utils._rebuild_tensor_v3",
                                                    "torch._utils._rebuild_parameter",
                                                    "torch._utils._rebuild_parameter_with_state",
                                                    "torch._tensor._rebuild_from_type_v2",
                                                    "torch.nn.parameter.Parameter"};
constexpr std::array<std::string_view, 14> kHarmless{
    "builtins.set",    "builtins.frozenset", "builtins.list",  "builtins.tuple",
    "builtins.bytes",  "builtins.int",       "builtins.float", "builtins.complex",
    "builtins.object", "builtins.bytearray", "_codecs.encode", "torch.Size",
    "torch.device",    "torch.Tensor"};

[[noreturn]] void fail_arguments(std::string_view name) {
  fail("the arguments of {} are not those that it takes", name);
}

int64_t int_argument(const Pickle& pickle, PickleId id, std::string_view name) {
  const auto* value = pickle.get<int64_t>(id);
  if (value == nullptr) fail_arguments(name);
  return *value;
}

const std::vector<PickleId>* sequence_items(const Pickle& pickle, PickleId id) {
  if (const auto* tuple = pickle.get<PickleTuple>(id)) return &tuple->items;
  if (const auto* list = pickle.get<PickleList>(id)) return &list->items;
  if (const auto* set = pickle.get<PickleSet>(id)) return &set->items;
  return nullptr;
}

std::vector<int64_t> dims_argument(const Pickle& pickle, PickleId id, std::string_view name) {
  const auto* items = sequence_items(pickle, id);
  if (items == nullptr) fail_arguments(name);
  if (items->size() > kMaxDims) fail("a tensor has {} dimensions", items->size());
  std::vector<int64_t> dims;
  for (const PickleId item : *items) dims.push_back(int_argument(pickle, item, name));
  return dims;
}

// (storage, offset, sizes, strides[, requires_grad, hooks[, metadata]]); v3 has the dtype before
// the metadata, and a storage of bytes.
PickleValue rebuild_tensor(const Pickle& pickle, std::string_view name, Args args) {
  const bool v3 = name.ends_with("_v3");
  if (args.size() < (v3 ? 7u : 4u) || args.size() > 8) fail_arguments(name);
  const auto* storage = pickle.get<PickleStoragePtr>(args[0]);
  if (storage == nullptr) {
    fail("{} is given {} where a storage belongs", name, pickle_kind(pickle[args[0]]));
  }
  auto tensor = std::make_shared<PickleTensor>();
  tensor->storage = *storage;
  tensor->offset = int_argument(pickle, args[1], name);
  tensor->sizes = dims_argument(pickle, args[2], name);
  tensor->strides = dims_argument(pickle, args[3], name);
  tensor->dtype = (*storage)->dtype;
  if (!tensor->dtype) tensor->unsupported = "its storage is a " + (*storage)->class_name;
  if (v3) {
    const auto* dtype = pickle.get<PickleGlobal>(args[6]);
    if (dtype == nullptr) fail_arguments(name);
    tensor->dtype = torch_dtype(dtype->name);
    if (!tensor->dtype) tensor->unsupported = "its dtype is " + dtype->name;
  }
  const size_t metadata = v3 ? 7 : 6;
  if (args.size() > metadata) {
    const auto* dict = pickle.get<PickleDict>(args[metadata]);
    if (dict != nullptr && !dict->entries.empty()) {
      tensor->unsupported = "it is a lazily conjugated or negated view";
    }
  }
  return PickleTensorPtr(std::move(tensor));
}

// The tensor that a parameter wraps is its first argument.
PickleValue rebuild_parameter(const Pickle& pickle, const std::string& name, Args args) {
  if (args.empty()) return PickleOpaque{.name = name, .entries = {}};
  if (const auto* tensor = pickle.get<PickleTensorPtr>(args[0])) return *tensor;
  if (const auto* opaque = pickle.get<PickleOpaque>(args[0])) {
    return PickleOpaque{.name = opaque->name, .entries = {}};
  }
  fail_arguments(name);
}

// OrderedDict(), OrderedDict(pairs), dict(other), defaultdict(factory, other).
PickleValue make_dict(Pickle& pickle, const std::string& name, Args args) {
  if (name == "collections.defaultdict" && !args.empty()) args = args.subspan(1);
  PickleDict dict;
  if (args.empty()) return dict;
  if (const auto* other = pickle.get<PickleDict>(args[0])) {
    pickle.charge(other->entries.size());
    dict.entries = other->entries;
    return dict;
  }
  const auto* pairs = sequence_items(pickle, args[0]);
  if (pairs == nullptr || args.size() > 1) fail_arguments(name);
  pickle.charge(pairs->size());
  for (const PickleId id : *pairs) {
    const auto* pair = sequence_items(pickle, id);
    if (pair == nullptr || pair->size() != 2) fail_arguments(name);
    dict.entries.emplace_back((*pair)[0], (*pair)[1]);
  }
  return dict;
}

template <class Container>
PickleValue make_sequence(Pickle& pickle, const std::string& name, Args args) {
  if (args.empty()) return Container{};
  const auto* items = sequence_items(pickle, args[0]);
  if (items == nullptr || args.size() > 1) return PickleOpaque{.name = name, .entries = {}};
  pickle.charge(items->size());
  return Container{*items};
}

// encode(text, 'latin1'): how protocol 2 writes bytes.
PickleValue encode(Pickle& pickle, const std::string& name, Args args) {
  if (args.empty()) fail_arguments(name);
  const auto* text = pickle.get<std::string>(args[0]);
  const auto encoding = args.size() > 1 ? pickle_text(pickle, args[1]) : std::nullopt;
  if (text == nullptr || (encoding != "latin1" && encoding != "latin-1")) {
    return PickleOpaque{.name = name, .entries = {}};
  }
  pickle.charge(text->size() / 16);
  auto bytes = utf8_to_latin1(*text);
  if (!bytes) fail_arguments(name);
  return PickleBytes{std::move(*bytes)};
}

}  // namespace

bool is_known_global(std::string_view name) {
  return is_one_of(name, kDicts) || is_one_of(name, kRebuilds) || is_one_of(name, kHarmless) ||
         storage_class_dtype(name) || torch_dtype(name);
}

std::optional<at::ScalarType> storage_class_dtype(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, at::ScalarType>, 18> kClasses{{
      {"FloatStorage", at::kFloat},
      {"HalfStorage", at::kHalf},
      {"BFloat16Storage", at::kBFloat16},
      {"DoubleStorage", at::kDouble},
      {"LongStorage", at::kLong},
      {"IntStorage", at::kInt},
      {"ShortStorage", at::kShort},
      {"CharStorage", at::kChar},
      {"ByteStorage", at::kByte},
      {"BoolStorage", at::kBool},
      {"ComplexFloatStorage", at::kComplexFloat},
      {"ComplexDoubleStorage", at::kComplexDouble},
      {"UntypedStorage", at::kByte},
      {"QInt8Storage", at::kQInt8},
      {"QUInt8Storage", at::kQUInt8},
      {"QInt32Storage", at::kQInt32},
      {"QUInt4x2Storage", at::kQUInt4x2},
      {"QUInt2x4Storage", at::kQUInt2x4},
  }};
  if (!name.starts_with("torch.")) return std::nullopt;
  name.remove_prefix(std::string_view("torch.").size());
  for (const std::string_view module : {"cuda.", "storage."}) {
    if (name.starts_with(module)) {
      name.remove_prefix(module.size());
      break;
    }
  }
  for (const auto& [known, dtype] : kClasses) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

std::optional<at::ScalarType> torch_dtype(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, at::ScalarType>, 5> kMore{{
      {"torch.uint16", at::kUInt16},
      {"torch.uint32", at::kUInt32},
      {"torch.uint64", at::kUInt64},
      {"torch.float8_e4m3fnuz", at::kFloat8_e4m3fnuz},
      {"torch.float8_e5m2fnuz", at::kFloat8_e5m2fnuz},
  }};
  if (!name.starts_with("torch.")) return std::nullopt;
  for (const auto& [known, dtype] : kMore) {
    if (known == name) return dtype;
  }
  return dtype_from_name(name.substr(std::string_view("torch.").size()));
}

PickleValue call_global(Pickle& pickle, const std::string& name, Args args) {
  if (is_one_of(name, kDicts)) return make_dict(pickle, name, args);
  if (name.starts_with("torch._utils._rebuild_tensor") && is_one_of(name, kRebuilds)) {
    return rebuild_tensor(pickle, name, args);
  }
  if (name == "torch._tensor._rebuild_from_type_v2") {
    // (rebuild function, type, its arguments, state): a tensor with attributes or of a subclass.
    if (args.size() != 4) fail_arguments(name);
    const auto* inner = pickle.get<PickleGlobal>(args[0]);
    const auto* inner_args = pickle.get<PickleTuple>(args[2]);
    if (inner == nullptr || inner_args == nullptr || inner->name == name) fail_arguments(name);
    return call_global(pickle, inner->name, inner_args->items);
  }
  if (is_one_of(name, kRebuilds)) return rebuild_parameter(pickle, name, args);
  if (name == "torch.Size" || name == "builtins.tuple") {
    return make_sequence<PickleTuple>(pickle, name, args);
  }
  if (name == "builtins.list") return make_sequence<PickleList>(pickle, name, args);
  if (name == "builtins.set" || name == "builtins.frozenset") {
    return make_sequence<PickleSet>(pickle, name, args);
  }
  if (name == "_codecs.encode") return encode(pickle, name, args);
  return PickleOpaque{.name = name, .entries = {}};
}

}  // namespace easel
