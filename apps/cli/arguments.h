// The command line and the help of a program, from the field list of its options struct.
//
//   --name VALUE, --name=VALUE, -n VALUE, -nVALUE, --flag, --flag=false
//
// '-' and '_' are the same in a name. A value is taken as it stands, whatever it looks like, unless
// it is itself the name of an option. An option given twice has the last value; lists grow, and
// take the values behind their first one too where no positional arguments are expected.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/fields.h>

namespace easel::cli {

// One field, its type erased.
struct Option {
  FieldInfo info;
  bool is_flag = false;
  bool is_list = false;
  std::string_view kind;                         // what its value is called in a message
  std::string default_text;                      // "" where there is none
  std::function<bool(std::string_view)> assign;  // false where the text is no such value
};

template <class Options>
std::vector<Option> options_of(Options& options) {
  std::vector<Option> list;
  visit_fields(options, [&](auto& field, const FieldInfo& info) {
    constexpr bool is_flag = std::is_same_v<std::remove_cvref_t<decltype(field)>, bool>;
    list.push_back(
        {.info = info,
         .is_flag = is_flag,
         .is_list = std::is_same_v<std::remove_cvref_t<decltype(field)>, std::vector<std::string>>,
         .kind = field_kind(field),
         .default_text = is_flag ? std::string() : field_text(field),
         .assign = [&field](std::string_view text) { return parse_field(text, field); }});
  });
  return list;
}

// The main names of the options that a command line gave.
class Given {
 public:
  bool has(std::string_view name) const { return names_.contains(name); }
  void add(std::string_view name) { names_.emplace(name); }
  void remove(std::string_view name) {
    if (const auto found = names_.find(name); found != names_.end()) names_.erase(found);
  }

 private:
  std::set<std::string, std::less<>> names_;
};

// The option of this name or alias, without dashes; nullptr where there is none. After one dash
// only one-letter names are meant.
const Option* find_option(std::span<const Option> options, std::string_view name,
                          bool one_dash = false);

// Throws Error (Usage) with the nearest of the known names.
[[noreturn]] void fail_unknown_option(std::span<const Option> options, std::string_view name);

// An option's name and its aliases.
std::vector<std::string_view> names_of(const Option& option);

// The headings of the options, in order.
std::vector<std::string_view> groups_of(std::span<const Option> options);

// An option's help with its choices and its default: "sampling steps [50]".
std::string help_of(const Option& option);

// Gives the option its value; `name` is how it was written. Throws Error (Usage).
void assign_option(const Option& option, std::string_view name, std::string_view value);

// Reads the arguments (without the program's name) into the options' fields. Throws Error (Usage)
// on an unknown option (with the nearest known ones), a missing or malformed value, or a stray
// argument; where `positional` is given, it receives the stray ones instead.
Given parse_arguments(std::span<const Option> options, std::span<const char* const> arguments,
                      std::vector<std::string>* positional = nullptr);

// `text` broken at spaces into lines of at most `width`.
std::vector<std::string> wrapped(std::string_view text, size_t width);

// The options under their groups' headings, wrapped to `width` columns.
std::string help_text(std::span<const Option> options, size_t width = 100);

}  // namespace easel::cli
