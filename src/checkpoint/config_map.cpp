#include "config_map.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr size_t kMaxListLength = 64;

// yaml-cpp tags quoted scalars "!": in YAML as in JSON they are strings whatever they look like.
bool is_quoted(const YAML::Node& node) { return node.Tag() == "!"; }

bool is_null(const YAML::Node& node) {
  return !node.IsDefined() || node.IsNull() ||
         (node.IsScalar() && !is_quoted(node) && (node.Scalar() == "null" || node.Scalar() == "~"));
}

std::string shown(const YAML::Node& node) {
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  if (is_null(node)) return "null";
  return fmt::format("'{}'", printable(node.Scalar(), 60));
}

std::optional<bool> as_boolean(const YAML::Node& node) {
  if (!node.IsScalar() || is_quoted(node)) return std::nullopt;
  for (const std::string_view yes : {"true", "True", "TRUE", "yes", "Yes", "on", "On"}) {
    if (node.Scalar() == yes) return true;
  }
  for (const std::string_view no : {"false", "False", "FALSE", "no", "No", "off", "Off"}) {
    if (node.Scalar() == no) return false;
  }
  return std::nullopt;
}

template <class Number>
std::optional<Number> as_number(const YAML::Node& node) {
  if (!node.IsScalar() || is_quoted(node)) return std::nullopt;
  std::string_view text = node.Scalar();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ConfigMap ConfigMap::parse(const std::string& text, const std::string& name) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail_usage("{}:{}: no valid YAML: {}", name, error.mark.line + 1, printable(error.msg));
  }
  if (!root.IsMap()) {
    fail_usage("{}: a config is a mapping of keys to values, but this file holds {}", name,
               root.IsDefined() && !root.IsNull() ? shown(root) : "nothing");
  }
  return ConfigMap(root, name, "");
}

ConfigMap::ConfigMap(const YAML::Node& node, std::string file, std::string path)
    : file_(std::move(file)), path_(std::move(path)), line_(node.Mark().line + 1) {
  std::set<std::string> seen;
  for (const auto& item : node) {
    const int line = item.first.Mark().line + 1;
    if (!item.first.IsScalar()) fail_usage("{}:{}: a key must be a plain name", file_, line);
    std::string key = item.first.Scalar();
    if (!seen.insert(key).second) {
      fail_usage("{}:{}: the key '{}' stands here a second time; leave one of them", file_, line,
                 printable(full_name(key)));
    }
    entries_.push_back({std::move(key), item.second, line});
  }
}

std::string ConfigMap::full_name(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const ConfigMap::Entry* ConfigMap::peek(std::string_view key) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

const ConfigMap::Entry* ConfigMap::find(std::string_view key) {
  known_.emplace_back(key);
  return peek(key);
}

const ConfigMap::Entry& ConfigMap::required(std::string_view key, const Entry* entry) const {
  if (entry == nullptr) {
    fail_usage("{}:{}: the key '{}' is missing", file_, line_, full_name(key));
  }
  return *entry;
}

std::vector<std::string> ConfigMap::keys() const {
  std::vector<std::string> keys;
  for (const Entry& entry : entries_) keys.push_back(entry.key);
  return keys;
}

bool ConfigMap::has(std::string_view key) const {
  const Entry* entry = peek(key);
  return entry != nullptr && !is_null(entry->value);
}

bool ConfigMap::is_text(std::string_view key) const {
  const Entry* entry = peek(key);
  return entry != nullptr && entry->value.IsScalar() && !is_null(entry->value);
}

bool ConfigMap::is_list(std::string_view key) const {
  const Entry* entry = peek(key);
  return entry != nullptr && entry->value.IsSequence();
}

void ConfigMap::reject(std::string_view key, const std::string& message) const {
  const Entry* entry = peek(key);
  fail_usage("{}:{}: {}: {}", file_, entry == nullptr ? line_ : entry->line, full_name(key),
             message);
}

void ConfigMap::reject_type(const Entry& entry, std::string_view expected) const {
  reject(entry.key, fmt::format("got {}, expected {}", shown(entry.value), expected));
}

int64_t ConfigMap::to_integer(const Entry& entry, const YAML::Node& node,
                              IntegerRange range) const {
  const auto value = as_number<int64_t>(node);
  if (!value || *value < range.min || *value > range.max) {
    reject(entry.key, fmt::format("got {}, expected an integer from {} to {}", shown(node),
                                  range.min, range.max));
  }
  return *value;
}

int64_t ConfigMap::integer(std::string_view key, std::optional<int64_t> otherwise,
                           IntegerRange range) {
  const Entry* entry = find(key);
  if (entry == nullptr && otherwise) return *otherwise;
  return to_integer(required(key, entry), entry->value, range);
}

std::optional<int64_t> ConfigMap::optional_integer(std::string_view key, IntegerRange range) {
  const Entry* entry = find(key);
  if (entry == nullptr || is_null(entry->value)) return std::nullopt;
  return to_integer(*entry, entry->value, range);
}

double ConfigMap::number(std::string_view key, std::optional<double> otherwise) {
  const Entry* entry = find(key);
  if (entry == nullptr && otherwise) return *otherwise;
  const auto value = as_number<double>(required(key, entry).value);
  if (!value || !std::isfinite(*value)) reject_type(*entry, "a number");
  return *value;
}

bool ConfigMap::boolean(std::string_view key, bool otherwise) {
  const Entry* entry = find(key);
  if (entry == nullptr) return otherwise;
  const auto value = as_boolean(entry->value);
  if (!value) reject_type(*entry, "true or false");
  return *value;
}

std::string ConfigMap::text(std::string_view key, std::optional<std::string> otherwise) {
  const Entry* entry = find(key);
  if (entry == nullptr && otherwise) return *otherwise;
  const YAML::Node& value = required(key, entry).value;
  if (!value.IsScalar() || is_null(value)) reject_type(*entry, "a text");
  return value.Scalar();
}

std::vector<int64_t> ConfigMap::integers(std::string_view key,
                                         std::optional<std::vector<int64_t>> otherwise,
                                         IntegerRange range) {
  const Entry* entry = find(key);
  if (entry == nullptr && otherwise) return *otherwise;
  const YAML::Node& list = required(key, entry).value;
  if (!list.IsSequence()) reject_type(*entry, "a list of integers");
  if (list.size() > kMaxListLength) {
    reject(key, fmt::format("got {} entries, expected at most {}", list.size(), kMaxListLength));
  }
  std::vector<int64_t> values;
  for (const auto& item : list) values.push_back(to_integer(*entry, item, range));
  return values;
}

std::vector<int64_t> ConfigMap::integer_or_list(std::string_view key,
                                                std::optional<int64_t> otherwise,
                                                IntegerRange range) {
  if (is_list(key)) return integers(key, std::nullopt, range);
  return {integer(key, otherwise, range)};
}

std::vector<std::string> ConfigMap::texts(std::string_view key) {
  const Entry& entry = required(key, find(key));
  if (!entry.value.IsSequence() || entry.value.size() > kMaxListLength) {
    reject_type(entry, "a list of texts");
  }
  std::vector<std::string> values;
  for (const auto& item : entry.value) {
    if (!item.IsScalar() || is_null(item)) reject_type(entry, "a list of texts");
    values.push_back(item.Scalar());
  }
  return values;
}

std::vector<double> ConfigMap::numbers(std::string_view key) {
  const Entry& entry = required(key, find(key));
  if (!entry.value.IsSequence() || entry.value.size() > kMaxListLength) {
    reject_type(entry, "a list of numbers");
  }
  std::vector<double> values;
  for (const auto& item : entry.value) {
    const auto value = as_number<double>(item);
    if (!value || !std::isfinite(*value)) reject_type(entry, "a list of numbers");
    values.push_back(*value);
  }
  return values;
}

ConfigMap ConfigMap::map(std::string_view key) {
  const Entry& entry = required(key, find(key));
  if (!entry.value.IsMap()) reject_type(entry, "a mapping");
  return ConfigMap(entry.value, file_, full_name(key));
}

std::optional<ConfigMap> ConfigMap::optional_map(std::string_view key) {
  if (!has(key)) {
    find(key);
    return std::nullopt;
  }
  return map(key);
}

void ConfigMap::ignore(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) known_.emplace_back(key);
}

void ConfigMap::require(std::string_view key, std::string_view value, std::string_view reason) {
  const Entry* entry = find(key);
  if (entry == nullptr || is_null(entry->value)) return;
  if (entry->value.IsScalar()) {
    if (entry->value.Scalar() == value) return;
    const auto boolean = as_boolean(entry->value);
    if (boolean && (*boolean ? value == "true" : value == "false" || value.empty())) return;
    const auto number = as_number<double>(entry->value);
    double expected = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), expected);
    if (number && error == std::errc() && end == value.data() + value.size() &&
        *number == expected) {
      return;
    }
  }
  reject(key, fmt::format("{} is not supported: {}", shown(entry->value), reason));
}

void ConfigMap::finish() const {
  for (const Entry& entry : entries_) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const std::vector<std::string_view> known(known_.begin(), known_.end());
    fail_usage("{}:{}: {}: {}", file_, entry.line, path_.empty() ? "top level" : path_,
               unknown_name("key", entry.key, known));
  }
}

}  // namespace easel
