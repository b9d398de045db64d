#include "easel/hub/names.h"

#include <algorithm>

#include <easel/base/utf8.h>

namespace easel {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_edge(char c) { return c == '-' || c == '.'; }

bool is_owner_or_name(std::string_view part) {
  constexpr size_t kMaxLength = 96;
  return !part.empty() && part.size() <= kMaxLength &&
         std::all_of(part.begin(), part.end(), [](char c) { return is_word(c) || is_edge(c); }) &&
         !is_edge(part.front()) && !is_edge(part.back()) &&
         part.find("--") == std::string_view::npos && part.find("..") == std::string_view::npos;
}

// Parts between slashes, none of them empty, "." or "..", none longer than a file's name can be.
bool is_relative_path(std::string_view path) {
  constexpr size_t kMaxLength = 1024;
  constexpr size_t kMaxPart = 255;
  if (path.size() > kMaxLength) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

bool is_repo_name(std::string_view name) {
  const size_t slash = name.find('/');
  return slash != std::string_view::npos && is_owner_or_name(name.substr(0, slash)) &&
         is_owner_or_name(name.substr(slash + 1));
}

bool is_revision(std::string_view name) {
  return is_relative_path(name) && std::all_of(name.begin(), name.end(), [](char c) {
           return is_word(c) || is_edge(c) || c == '/' || c == '+';
         });
}

bool is_repo_file(std::string_view name) {
  return is_relative_path(name) && is_valid_utf8(name) &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
         });
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<HubModel> parse_hub_model(std::string_view text) {
  HubModel model;
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    model.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const size_t owner = text.find('/');
  if (owner == std::string_view::npos) return std::nullopt;
  const size_t slash = std::min(text.find('/', owner + 1), text.size());
  model.repo = text.substr(0, slash);
  if (slash < text.size()) {
    model.file = text.substr(slash + 1);
    if (!is_repo_file(model.file)) return std::nullopt;
  }
  if (!is_repo_name(model.repo) || !is_revision(model.revision)) return std::nullopt;
  return model;
}

std::string hub_model_text(const HubModel& model) {
  std::string text = model.repo;
  if (!model.file.empty()) text += "/" + model.file;
  if (model.revision != "main") text += "@" + model.revision;
  return text;
}

std::string fetch_words(const HubModel& model) {
  std::string words = model.repo;
  if (!model.file.empty()) words += " " + model.file;
  if (model.revision != "main") words += " --revision " + model.revision;
  return words;
}

}  // namespace easel
