#include "easel/base/error.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <easel/base/utf8.h>

namespace easel {
namespace {

// Levenshtein distance, case-insensitive for ASCII; '-' and '_' count as the same.
size_t edit_distance(std::string_view a, std::string_view b) {
  const auto fold = [](char c) {
    return c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  };
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string unknown_name(std::string_view what, std::string_view got,
                         std::span<const std::string_view> known) {
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const std::string_view name : known) ranked.emplace_back(edit_distance(got, name), name);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string message = fmt::format("unknown {} '{}'", what, printable(got));
  if (ranked.empty()) return message;
  if (ranked.front().first <= std::max<size_t>(2, got.size() / 3)) {
    message += fmt::format("; did you mean '{}'?", ranked.front().second);
  }
  message += message.back() == '?' ? " Known: " : ". Known: ";
  for (size_t i = 0; i < ranked.size(); ++i) {
    message += fmt::format("{}{}", i == 0 ? "" : ", ", ranked[i].second);
  }
  return message;
}

std::string printable(std::string_view text, size_t max_length) {
  std::string shown;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const size_t length = utf8_sequence_length(text);
    const bool control =
        byte < 0x20 || byte == 0x7F ||
        (length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    std::string piece;
    if (byte == '\n')
      piece = "\\n";
    else if (byte == '\t')
      piece = "\\t";
    else if (length == 0 || control)
      piece = fmt::format("\\x{:02x}", byte);
    else
      piece = std::string(text.substr(0, length));
    if (shown.size() + piece.size() > max_length) return shown + "...";
    shown += piece;
    text.remove_prefix(length == 0 || control ? 1 : length);
  }
  return shown;
}

}  // namespace easel
