#include "easel/base/fields.h"

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace easel {
namespace {

template <class Number>
bool parse_number(std::string_view text, Number& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  value = parsed;
  return true;
}

}  // namespace

bool parse_field(std::string_view text, bool& value) {
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (text == yes) return value = true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (text == no) {
      value = false;
      return true;
    }
  }
  return false;
}

bool parse_field(std::string_view text, int64_t& value) { return parse_number(text, value); }

bool parse_field(std::string_view text, double& value) {
  double parsed = 0;
  if (!parse_number(text, parsed) || !std::isfinite(parsed)) return false;
  value = parsed;
  return true;
}

bool parse_field(std::string_view text, std::string& value) {
  value = text;
  return true;
}

bool parse_field(std::string_view text, std::filesystem::path& value) {
  if (text.empty()) return false;
  value = std::filesystem::path(text);
  return true;
}

bool parse_field(std::string_view text, std::vector<std::string>& value) {
  value.emplace_back(text);
  return true;
}

std::string field_text(bool value) { return value ? "true" : "false"; }
std::string field_text(int64_t value) { return std::to_string(value); }
std::string field_text(double value) { return fmt::format("{}", value); }
std::string field_text(const std::string& value) { return value; }
std::string field_text(const std::filesystem::path& value) { return value.string(); }
std::string field_text(const std::vector<std::string>& value) {
  return fmt::format("{}", fmt::join(value, ", "));
}

std::vector<std::string_view> split_list(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view part = list.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    if (!part.empty()) parts.push_back(part);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return parts;
}

}  // namespace easel
