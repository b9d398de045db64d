#include "two_files.h"

#include <easel/base/fields.h>

namespace easel {
namespace {

bool is_there(std::string_view path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

TwoFiles two_files_from_text(std::string_view text, size_t most) {
  TwoFiles read;
  while (read.numbers.size() < most) {
    const size_t colon = text.rfind(':');
    double number = 0;
    if (colon == text.npos || !parse_field(text.substr(colon + 1), number)) break;
    read.numbers.insert(read.numbers.begin(), number);
    text = text.substr(0, colon);
  }
  size_t first = text.npos;
  for (size_t colon = text.find(':'); colon != text.npos; colon = text.find(':', colon + 1)) {
    if (first == text.npos) first = colon;
    if (!is_there(text.substr(0, colon)) || !is_there(text.substr(colon + 1))) continue;
    first = colon;
    break;
  }
  if (first == text.npos || first == 0 || first + 1 == text.size()) return {};
  read.first = text.substr(0, first);
  read.second = text.substr(first + 1);
  return read;
}

}  // namespace easel
