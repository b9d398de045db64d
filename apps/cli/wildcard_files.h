// The files that __NAME__ in a prompt stands for.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace easel::cli {

class WildcardFiles {
 public:
  // `folder` holds NAME.txt, with a choice on each line; lines that are empty or begin with '#' are
  // none. Throws Error (Usage) where there is no such folder.
  explicit WildcardFiles(std::filesystem::path folder);

  // The lines of NAME.txt, read once. Throws Error (Usage) naming the nearest file where it is not
  // there, or leads out of the folder.
  const std::vector<std::string>& lines(const std::string& name);

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::vector<std::string>> read_;
};

}  // namespace easel::cli
