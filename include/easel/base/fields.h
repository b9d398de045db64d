// Field lists: an options struct names each field once, and the command line, the help, the JSON
// and the picture's settings text are derived from that one list.
//
//   struct SamplingOptions {
//     int64_t steps = 50;
//     template <class Self, class Visit>
//     static void fields(Self& self, Visit&& visit) {
//       visit(self.steps, FieldInfo{.name = "steps", .aliases = "ddim_steps", .help = "..."});
//     }
//   };
//
// Field types: bool, int64_t, double, std::string, std::vector<std::string>,
// std::filesystem::path, and std::optional of these. The struct's default member initialiser is the
// default that the help shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace easel {

struct FieldInfo {
  std::string_view name;  // the option's main name without leading dashes; '-' equals '_'
  std::string_view aliases =
      "";                       // other spellings, comma-separated ("ddim_steps"; one letter: "o")
  std::string_view group = "";  // heading in the help
  std::string_view help = "";   // one sentence: what it is, its unit and range
  std::string_view value = "";  // placeholder in the help: "N", "FILE"
  std::string_view choices = "";  // the only values, comma-separated; empty: any
  bool setting = true;            // true: it shapes the picture, and is recorded with it
};

// Calls visit(member, FieldInfo) for every field of `options`, in the order of the list.
template <class Options, class Visit>
void visit_fields(Options& options, Visit&& visit) {
  std::remove_const_t<Options>::fields(options, visit);
}

// Reads a field's value; false where the whole of `text` is no such value. Numbers are decimal, a
// double is finite; a bool is true, false, yes, no, on, off, 1 or 0. A vector gets one more
// element.
bool parse_field(std::string_view text, bool& value);
bool parse_field(std::string_view text, int64_t& value);
bool parse_field(std::string_view text, double& value);
bool parse_field(std::string_view text, std::string& value);
bool parse_field(std::string_view text, std::filesystem::path& value);
bool parse_field(std::string_view text, std::vector<std::string>& value);
template <class T>
bool parse_field(std::string_view text, std::optional<T>& value) {
  T parsed{};
  if (!parse_field(text, parsed)) return false;
  value = std::move(parsed);
  return true;
}

// A field's value as text that parse_field reads back (a vector's elements joined by ", "). A
// double has the fewest digits that give it exactly; an absent optional is "".
std::string field_text(bool value);
std::string field_text(int64_t value);
std::string field_text(double value);
std::string field_text(const std::string& value);
std::string field_text(const std::filesystem::path& value);
std::string field_text(const std::vector<std::string>& value);
template <class T>
std::string field_text(const std::optional<T>& value) {
  return value ? field_text(*value) : std::string();
}

// What a value of this type is called in a message: "a whole number", "a number", ...
template <class T>
constexpr std::string_view field_kind(const T&) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, int64_t>) return "a whole number";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::filesystem::path>) return "a path";
  return "text";
}
template <class T>
constexpr std::string_view field_kind(const std::optional<T>&) {
  return field_kind(T{});
}

// The parts of a comma-separated list; none of an empty one.
std::vector<std::string_view> split_list(std::string_view list);

}  // namespace easel
