// Several YAML files and "key=value" overrides as one, as OmegaConf merges them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace easel {

struct MergedConfig {
  std::string text;  // YAML
  std::string name;  // for messages: the file's where there is just one, so that lines are its own
};

// Files from left to right, then the overrides ("model.params.use_ema=false"): mappings are merged,
// anything else is replaced. An override's value is YAML. Throws Error (Usage).
MergedConfig merge_configs(const std::vector<std::filesystem::path>& bases,
                           const std::vector<std::string>& overrides);

// The YAML `text` with the value at "key.path" exchanged.
std::string with_value(const std::string& text, const std::string& key, const std::string& value);

}  // namespace easel
