#include "merge_configs.h"

#include <yaml-cpp/yaml.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "../checkpoint/model_config_checks.h"

namespace easel {
namespace {

YAML::Node parse(const std::string& text, const std::string& name) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail_usage("{}:{}: no valid YAML: {}", name, error.mark.line + 1, printable(error.msg));
  }
}

// `over` on top of `base`.
YAML::Node merge(const YAML::Node& base, const YAML::Node& over) {
  if (!base.IsMap() || !over.IsMap()) return YAML::Clone(over);
  YAML::Node merged = YAML::Clone(base);
  for (const auto& entry : over) {
    const std::string key = entry.first.Scalar();
    const YAML::Node old = base[key];
    merged[key] = old.IsDefined() ? merge(old, entry.second) : YAML::Clone(entry.second);
  }
  return merged;
}

// {a: {b: node}} of "a.b".
YAML::Node nest(std::string path, YAML::Node node) {
  const std::string whole = path;
  while (true) {
    const size_t dot = path.rfind('.');
    const std::string key = path.substr(dot == std::string::npos ? 0 : dot + 1);
    if (key.empty()) fail_usage("the override of '{}' has an empty key", printable(whole));
    YAML::Node outer(YAML::NodeType::Map);
    outer[key] = node;
    node = outer;
    if (dot == std::string::npos) return node;
    path.resize(dot);
  }
}

YAML::Node override_node(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    fail_usage("'{}' is no override; expected key=value, as in model.params.use_ema=false",
               printable(text));
  }
  return nest(text.substr(0, equals),
              parse(text.substr(equals + 1), "the override " + printable(text)));
}

}  // namespace

MergedConfig merge_configs(const std::vector<std::filesystem::path>& bases,
                           const std::vector<std::string>& overrides) {
  if (bases.empty()) fail_usage("no config is given; name one with --base FILE.yaml");
  MergedConfig merged{.text = read_text_file(bases.front(), kMaxConfigBytes),
                      .name = bases.front().string()};
  if (bases.size() == 1 && overrides.empty()) return merged;
  YAML::Node node = parse(merged.text, merged.name);
  for (size_t i = 1; i < bases.size(); ++i) {
    node = merge(node, parse(read_text_file(bases[i], kMaxConfigBytes), bases[i].string()));
    merged.name += " + " + bases[i].string();
  }
  for (const std::string& text : overrides) node = merge(node, override_node(text));
  if (!overrides.empty()) merged.name += " + overrides";
  merged.text = YAML::Dump(node) + "\n";
  return merged;
}

std::string with_value(const std::string& text, const std::string& key, const std::string& value) {
  return YAML::Dump(merge(parse(text, key), nest(key, YAML::Node(value)))) + "\n";
}

}  // namespace easel
