#include "picture_metadata.h"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/file.h>

namespace easel {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBytes = size_t{1} << 30;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxKeys = 100;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Where an error is: FILE:LINE.
struct Place {
  std::string file;
  size_t line;
  std::string text() const { return fmt::format("{}:{}", file, line); }
};

Json parse(std::string_view line, const Place& place) {
  try {
    // Hostile nesting would use up the stack when the value is destroyed.
    const auto depth_cap = [&](int depth, Json::parse_event_t, Json&) {
      if (depth > kMaxDepth) fail("{}: nested too deeply", place.text());
      return true;
    };
    return Json::parse(line, depth_cap);
  } catch (const Json::exception& error) {
    fail("{}: not JSON: {}; expected one object a line, such as {}", place.text(),
         printable(error.what(), 200), R"({"file_name": "0001.png", "text": "a caption"})");
  }
}

std::filesystem::path file_name(const Json& entry, const Place& place) {
  const auto found = entry.find("file_name");
  if (found == entry.end() || !found->is_string()) {
    fail("{}: no \"file_name\" with the picture's path as text", place.text());
  }
  const auto& name = found->get_ref<const std::string&>();
  const std::filesystem::path path(name);
  const bool leaves = std::find(path.begin(), path.end(), "..") != path.end();
  const auto is_hidden = [](const std::filesystem::path& part) {
    return part != "." && part.native().starts_with('.');
  };
  if (name.empty() || path.is_absolute() || leaves || name.find('\0') != std::string::npos) {
    fail(
        "{}: file_name '{}' is no path inside the folder of metadata.jsonl; absolute paths and "
        "'..' are refused",
        place.text(), printable(name));
  }
  if (std::any_of(path.begin(), path.end(), is_hidden)) {
    fail("{}: file_name '{}' is hidden, and hidden files are left out", place.text(),
         printable(name));
  }
  return path.lexically_normal();
}

std::vector<std::string> captions(const Json& entry, const std::string& key, const Place& place) {
  const auto found = entry.find(key);
  if (found == entry.end() || found->is_null()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  std::vector<std::string> all;
  if (found->is_array()) {
    for (const Json& caption : *found) {
      if (caption.is_string()) all.push_back(caption.get<std::string>());
    }
  }
  if (!found->is_array() || all.size() != found->size()) {
    fail("{}: \"{}\" is {}; a caption is text or a list of texts", place.text(), printable(key),
         found->is_array() ? "a list with other things than text" : found->type_name());
  }
  return all;
}

}  // namespace

PictureMetadata read_picture_metadata(const std::filesystem::path& file,
                                      const std::string& caption_key,
                                      std::vector<std::string>& keys) {
  const std::string text = read_text_file(file, kMaxBytes);
  std::string_view rest = text;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  PictureMetadata metadata;
  std::map<std::filesystem::path, size_t> lines;
  Place place{printable(file.native(), 4096), 0};
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++place.line;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json entry = parse(line, place);
    if (!entry.is_object()) {
      fail("{}: {} where an object with \"file_name\" should be", place.text(), entry.type_name());
    }
    for (const auto& [key, value] : entry.items()) {
      if (keys.size() < kMaxKeys && std::find(keys.begin(), keys.end(), key) == keys.end()) {
        keys.push_back(key);
      }
    }
    const std::filesystem::path name = file_name(entry, place);
    if (const auto [earlier, first] = lines.emplace(name, place.line); !first) {
      fail("{}: '{}' is listed twice, first in line {}; give it its captions as one list",
           place.text(), printable(name.native()), earlier->second);
    }
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(file.parent_path() / name, ignored)) {
      fail("{}: the picture '{}' does not exist", place.text(), printable(name.native()));
    }
    metadata.emplace(name, captions(entry, caption_key, place));
  }
  return metadata;
}

}  // namespace easel
