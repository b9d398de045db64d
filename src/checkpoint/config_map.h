// A mapping of a config file (YAML, or JSON as a part of YAML) that is read key by key. Every
// getter names the file, the line and the key where the value is not what it should be; finish()
// finds the keys that nobody asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace easel {

struct IntegerRange {
  int64_t min = 0;
  int64_t max = int64_t{1} << 24;
};

class ConfigMap {
 public:
  // Parses a whole document whose root must be a mapping. `name` stands in the messages.
  static ConfigMap parse(const std::string& text, const std::string& name);

  bool has(std::string_view key) const;   // present and not null
  std::vector<std::string> keys() const;  // in the order of the file
  // Getters: the value, or `otherwise` where the key is absent (or null, for the optional ones).
  // nullopt as `otherwise` means that the key must be there.
  int64_t integer(std::string_view key, std::optional<int64_t> otherwise, IntegerRange range = {});
  std::optional<int64_t> optional_integer(std::string_view key, IntegerRange range = {});
  double number(std::string_view key, std::optional<double> otherwise);
  bool boolean(std::string_view key, bool otherwise);
  std::string text(std::string_view key, std::optional<std::string> otherwise);
  std::vector<int64_t> integers(std::string_view key, std::optional<std::vector<int64_t>> otherwise,
                                IntegerRange range = {});
  // An integer or a list of them; an integer gives a list of one.
  std::vector<int64_t> integer_or_list(std::string_view key, std::optional<int64_t> otherwise,
                                       IntegerRange range = {});
  std::vector<std::string> texts(std::string_view key);
  std::vector<double> numbers(std::string_view key);
  ConfigMap map(std::string_view key);                          // must be there
  std::optional<ConfigMap> optional_map(std::string_view key);  // absent or null: nullopt
  bool is_text(std::string_view key) const;
  bool is_list(std::string_view key) const;

  // The keys may be there and have no effect here.
  void ignore(std::initializer_list<std::string_view> keys);
  // The key may be there only with this value (or null, false and "" alike if `value` is empty);
  // anything else is an error that gives `reason`.
  void require(std::string_view key, std::string_view value, std::string_view reason);

  // Error (Usage) "FILE:LINE: KEY: ..." about the key's value.
  [[noreturn]] void reject(std::string_view key, const std::string& message) const;
  // Error (Usage) on keys that were neither asked for nor ignored; nearest valid names first.
  void finish() const;

  const std::string& file() const { return file_; }

 private:
  struct Entry {
    std::string key;
    YAML::Node value;
    int line;
  };
  ConfigMap(const YAML::Node& node, std::string file, std::string path);
  const Entry* find(std::string_view key);  // marks the key as known
  const Entry* peek(std::string_view key) const;
  const Entry& required(std::string_view key, const Entry* entry) const;
  std::string full_name(std::string_view key) const;
  [[noreturn]] void reject_type(const Entry& entry, std::string_view expected) const;
  int64_t to_integer(const Entry& entry, const YAML::Node& node, IntegerRange range) const;

  std::string file_, path_;
  int line_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;
};

}  // namespace easel
