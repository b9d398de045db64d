#include "pickle.h"

#include <charconv>
#include <span>
#include <string_view>
#include <unordered_map>

#include <easel/base/error.h>

#include "pickle_calls.h"
#include "pickle_scalars.h"
#include "pickle_stack.h"

namespace easel {
namespace {

constexpr size_t kMaxGlobalName = 256;
constexpr int kHighestProtocol = 5;

// Python 2's names of modules that Python 3 renamed.
std::string_view modern_module(std::string_view module) {
  if (module == "__builtin__") return "builtins";
  if (module == "copy_reg") return "copyreg";
  return module;
}

// The stack machine that a pickle is a program for. Opcodes are those of CPython's pickletools.
class Machine {
 public:
  Machine(Cursor& in, const PersistentIds& persistent_ids)
      : in_(in), persistent_ids_(persistent_ids) {}

  Pickle run() {
    while (true) {
      const size_t at = in_.position();
      const auto opcode = in_.number<uint8_t>();
      try {
        pickle_.charge(1);
        if (opcode == '.') {
          pickle_.root = stack_.pop();
          return std::move(pickle_);
        }
        if (auto scalar = read_pickle_scalar(in_, opcode)) {
          push(*std::move(scalar));
        } else if (!container(opcode) && !object(opcode) && !stack(opcode)) {
          fail("opcode 0x{:02x} is none that a checkpoint uses", opcode);
        }
      } catch (const Error& error) {
        fail("{} (in {}, opcode at byte {})", error.what(), in_.what(), at);
      }
    }
  }

 private:
  void push(PickleValue value) { stack_.push(pickle_.add(std::move(value))); }

  void put(uint64_t index) {
    pickle_.charge(1);
    memo_[index] = stack_.top();
  }

  void get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("nothing was remembered as number {}", index);
    stack_.push(found->second);
  }

  uint64_t line_index() {
    const std::string_view line = in_.line();
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), index);
    if (error != std::errc() || end != line.data() + line.size())
      fail("'{}' is no number", printable(line));
    return index;
  }

  bool stack(uint8_t opcode) {
    switch (opcode) {
      case '(':
        stack_.mark();
        return true;
      case '0':
        if (stack_.above_mark() > 0)
          stack_.pop();
        else
          stack_.pop_to_mark();
        return true;
      case '1':
        stack_.pop_to_mark();
        return true;
      case '2':
        stack_.push(stack_.top());
        return true;
      case 'p':
        put(line_index());
        return true;
      case 'q':
        put(in_.number<uint8_t>());
        return true;
      case 'r':
        put(in_.number<uint32_t>());
        return true;
      case 0x94:
        put(memo_.size());
        return true;
      case 'g':
        get(line_index());
        return true;
      case 'h':
        get(in_.number<uint8_t>());
        return true;
      case 'j':
        get(in_.number<uint32_t>());
        return true;
      case 0x80:
        if (const auto protocol = in_.number<uint8_t>(); protocol > kHighestProtocol) {
          fail("protocol {} is not known (0 to {} are)", protocol, kHighestProtocol);
        }
        return true;
      case 0x95:
        if (const auto length = in_.number<uint64_t>(); length > in_.left()) {
          fail("a frame of {} bytes is announced, but {} are left", length, in_.left());
        }
        return true;
      default:
        return false;
    }
  }

  // Containers.

  void append(std::span<const PickleId> items) {
    const PickleId target = stack_.top();
    std::vector<PickleId>* into = nullptr;
    if (auto* list = pickle_.get<PickleList>(target)) into = &list->items;
    if (auto* set = pickle_.get<PickleSet>(target)) into = &set->items;
    if (into == nullptr) {
      if (pickle_.get<PickleOpaque>(target) != nullptr) return;  // a subclass: not looked into
      fail("it appends to {}", pickle_kind(pickle_[target]));
    }
    into->insert(into->end(), items.begin(), items.end());
  }

  void set_items(std::span<const PickleId> items) {
    const PickleId target = stack_.top();
    PickleEntries* into = nullptr;
    if (auto* dict = pickle_.get<PickleDict>(target)) into = &dict->entries;
    if (auto* opaque = pickle_.get<PickleOpaque>(target)) into = &opaque->entries;
    if (into == nullptr) fail("it sets items of {}", pickle_kind(pickle_[target]));
    if (items.size() % 2 != 0) fail("a dict's key has no value");
    for (size_t i = 0; i < items.size(); i += 2) into->emplace_back(items[i], items[i + 1]);
  }

  bool container(uint8_t opcode) {
    switch (opcode) {
      case ')':
        push(PickleTuple{});
        return true;
      case ']':
        push(PickleList{});
        return true;
      case '}':
        push(PickleDict{});
        return true;
      case 0x8f:
        push(PickleSet{});
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push(PickleTuple{stack_.pop_count(opcode - 0x84u)});
        return true;
      case 't':
        push(PickleTuple{stack_.pop_to_mark()});
        return true;
      case 'l':
        push(PickleList{stack_.pop_to_mark()});
        return true;
      case 0x91:
        push(PickleSet{stack_.pop_to_mark()});
        return true;
      case 'd': {
        const auto items = stack_.pop_to_mark();
        push(PickleDict{});
        set_items(items);
        return true;
      }
      case 'a':
        append(stack_.pop_count(1));
        return true;
      case 'e':
      case 0x90:
        append(stack_.pop_to_mark());
        return true;
      case 's':
        set_items(stack_.pop_count(2));
        return true;
      case 'u':
        set_items(stack_.pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  // Globals and objects.

  std::string global_name(std::string_view module, std::string_view name) {
    if (module.size() + name.size() >= kMaxGlobalName) {
      fail("a global's name has {} bytes", module.size() + name.size());
    }
    std::string full = fmt::format("{}.{}", modern_module(module), name);
    if (!is_known_global(full)) pickle_.unknown_globals.insert(full);
    return full;
  }

  std::string line_global() {
    const std::string_view module = in_.line();
    return global_name(module, in_.line());
  }

  void stack_global() {
    const PickleId name = stack_.pop();
    const PickleId module = stack_.pop();
    const auto* name_text = pickle_.get<std::string>(name);
    const auto* module_text = pickle_.get<std::string>(module);
    if (name_text == nullptr || module_text == nullptr) fail("a global's name is no str");
    push(PickleGlobal{global_name(*module_text, *name_text)});
  }

  // `callable`(*args), for the callables that are known; else an opaque value.
  void call(PickleId callable, std::span<const PickleId> args) {
    if (const auto* opaque = pickle_.get<PickleOpaque>(callable)) {
      push(PickleOpaque{.name = opaque->name, .entries = {}});
      return;
    }
    const auto* global = pickle_.get<PickleGlobal>(callable);
    if (global == nullptr) fail("it calls {}", pickle_kind(pickle_[callable]));
    if (global->name == "copyreg._reconstructor" && !args.empty()) {
      if (const auto* type = pickle_.get<PickleGlobal>(args[0])) {
        push(PickleOpaque{.name = type->name, .entries = {}});
        return;
      }
    }
    push(call_global(pickle_, global->name, args));
  }

  void call_tuple(PickleId callable, PickleId args) {
    const auto* tuple = pickle_.get<PickleTuple>(args);
    if (tuple == nullptr) fail("it calls with {} as arguments", pickle_kind(pickle_[args]));
    call(callable, tuple->items);
  }

  // Sets the state of the object on top of the stack; only a tensor's could matter.
  // A ParameterDict is the dict of its parameters: older files of textual inversion hold one.
  void build_parameter_dict(PickleOpaque& target, PickleId state) {
    const auto* members = pickle_.get<PickleDict>(state);
    if (members == nullptr) return;
    for (const auto& [key, value] : members->entries) {
      const auto* parameters = pickle_.get<PickleDict>(value);
      if (parameters == nullptr || pickle_text(pickle_, key) != "_parameters") continue;
      pickle_.charge(parameters->entries.size());
      target.entries.insert(target.entries.end(), parameters->entries.begin(),
                            parameters->entries.end());
    }
  }

  void build() {
    const PickleId state = stack_.pop();
    const PickleId target = stack_.top();
    if (auto* opaque = pickle_.get<PickleOpaque>(target);
        opaque != nullptr && opaque->name == "torch.nn.modules.container.ParameterDict") {
      build_parameter_dict(*opaque, state);
    }
    if (auto* tensor = pickle_.get<PickleTensorPtr>(target)) {
      auto changed = std::make_shared<PickleTensor>(**tensor);
      changed->unsupported = "its state is set after it was made";
      *tensor = std::move(changed);
    }
  }

  void persistent(PickleId id) {
    if (!persistent_ids_) fail("it refers to something outside of it");
    push(persistent_ids_(pickle_, id));
  }

  bool object(uint8_t opcode) {
    switch (opcode) {
      case 'c':
        push(PickleGlobal{line_global()});
        return true;
      case 0x93:
        stack_global();
        return true;
      case 'R':
      case 0x81: {
        const auto ids = stack_.pop_count(2);
        call_tuple(ids[0], ids[1]);
        return true;
      }
      case 0x92: {
        const auto ids =
            stack_.pop_count(3);  // keyword arguments mean nothing to the known callables
        call_tuple(ids[0], ids[1]);
        return true;
      }
      case 'i': {
        const std::string name = line_global();
        const auto args = stack_.pop_to_mark();
        push(call_global(pickle_, name, args));
        return true;
      }
      case 'o': {
        const auto items = stack_.pop_to_mark();
        if (items.empty()) fail("the stack is empty");
        call(items[0], std::span(items).subspan(1));
        return true;
      }
      case 'b':
        build();
        return true;
      case 'P':
        persistent(pickle_.add(std::string(in_.line())));
        return true;
      case 'Q':
        persistent(stack_.pop());
        return true;
      default:
        return false;
    }
  }

  Cursor& in_;
  const PersistentIds& persistent_ids_;
  Pickle pickle_;
  PickleStack stack_;
  std::unordered_map<uint64_t, PickleId> memo_;
};

}  // namespace

Pickle read_pickle(Cursor& in, const PersistentIds& persistent_ids) {
  return Machine(in, persistent_ids).run();
}

}  // namespace easel
