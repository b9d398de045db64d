// Two files in one text, as options that take a network and a picture have them.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace easel {

// Both empty where the text holds no two names.
struct TwoFiles {
  std::filesystem::path first, second;
  std::vector<double> numbers;
};

// "FIRST:SECOND" with up to `most` numbers behind, each after a colon. Either name may hold colons:
// of several places to divide them, one where both are there is taken.
TwoFiles two_files_from_text(std::string_view text, size_t most);

}  // namespace easel
