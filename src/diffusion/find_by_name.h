// Looking a row up in a table whose rows have a name and comma-separated aliases.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/error.h>

namespace easel {

// Lower case without '-', '_' and ' '; '+' becomes 'p': "DPM++ 2M" and "dpmpp_2m" fold alike.
inline std::string fold_name(std::string_view name) {
  std::string folded;
  for (const char c : name) {
    if (c == '-' || c == '_' || c == ' ') continue;
    if (c >= 'A' && c <= 'Z')
      folded += static_cast<char>(c - 'A' + 'a');
    else
      folded += c == '+' ? 'p' : c;
  }
  return folded;
}

inline bool answers_to(std::string_view name, std::string_view aliases, std::string_view folded) {
  if (fold_name(name) == folded) return true;
  while (!aliases.empty()) {
    const size_t comma = aliases.find(',');
    if (fold_name(aliases.substr(0, comma)) == folded) return true;
    aliases = comma == std::string_view::npos ? "" : aliases.substr(comma + 1);
  }
  return false;
}

// nullptr where no row answers.
template <class Row>
const Row* find_folded(std::string_view folded, std::span<const Row> rows) {
  for (const Row& row : rows) {
    if (!folded.empty() && answers_to(row.name, row.aliases, folded)) return &row;
  }
  return nullptr;
}

template <class Row>
const Row& find_by_name(std::string_view what, std::string_view name, std::span<const Row> rows) {
  if (const Row* row = find_folded(fold_name(name), rows)) return *row;
  std::vector<std::string_view> known;
  for (const Row& row : rows) known.push_back(row.name);
  throw Error(unknown_name(what, name, known), ErrorKind::Usage);
}

}  // namespace easel
