// The rows of scripts/fixtures/prompts.py.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace easel::test {

inline std::vector<nlohmann::json> prompt_rows(const std::string& name) {
  return nlohmann::json::parse(
      std::ifstream(std::string(EASEL_TEST_DATA) + "/prompts/" + name + ".json"));
}

}  // namespace easel::test
