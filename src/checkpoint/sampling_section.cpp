#include "easel/checkpoint/sampling_section.h"

#include <easel/io/file.h>

#include "config_map.h"
#include "model_config_checks.h"

namespace easel {

std::vector<SamplingDefault> read_sampling_section(const std::filesystem::path& yaml) {
  ConfigMap root = ConfigMap::parse(read_text_file(yaml, kMaxConfigBytes), yaml.string());
  std::vector<SamplingDefault> defaults;
  if (auto section = root.optional_map("sampling")) {
    for (const std::string& key : section->keys()) {
      defaults.push_back({.option = key, .value = section->text(key, std::nullopt)});
    }
  }
  return defaults;
}

}  // namespace easel
