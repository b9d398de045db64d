#include "cli/wildcard_files.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/file.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxBytes = 16 << 20;

// NAME of every NAME.txt below `folder`.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    fs::path name = entry->path().lexically_relative(folder);
    if (name.extension() == ".txt") names.push_back(name.replace_extension().generic_string());
  }
  return names;
}

bool leads_out(const fs::path& name) {
  for (const fs::path& part : name) {
    if (part == "..") return true;
  }
  return name.is_absolute();
}

std::vector<std::string> choices_in(std::string_view text, const fs::path& file) {
  if (!is_valid_utf8(text)) fail_usage("{}: is no UTF-8 text", file.string());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') continue;
    line = line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace

WildcardFiles::WildcardFiles(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  if (!fs::is_directory(folder_, error)) {
    fail_usage("--wildcards names a folder of NAME.txt files, and {} is none", folder_.string());
  }
}

const std::vector<std::string>& WildcardFiles::lines(const std::string& name) {
  if (const auto known = read_.find(name); known != read_.end()) return known->second;
  const fs::path file = folder_ / (name + ".txt");
  std::error_code error;
  if (leads_out(name) || !fs::is_regular_file(file, error)) {
    const std::vector<std::string> names = names_in(folder_);
    const std::vector<std::string_view> known(names.begin(), names.end());
    fail_usage("there is no {} for __{}__: {}", file.string(), name,
               unknown_name("wildcard", name, known));
  }
  return read_.emplace(name, choices_in(read_text_file(file, kMaxBytes), file)).first->second;
}

}  // namespace easel::cli
