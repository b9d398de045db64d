// Where pictures go: numbered files that never replace one another, a named file, or the standard
// output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace easel::cli {

// Files PREFIX00000.SUFFIX in one folder, counting up from one after the highest there. Two
// programs may fill a folder at once: a number that is taken meanwhile is passed over.
class NumberedFiles {
 public:
  NumberedFiles(std::filesystem::path folder, std::string prefix, int digits, std::string suffix);

  // Writes the next file, whole or not at all, and returns its path; `before` is told the path
  // first, once more where that one was taken meanwhile. Throws Error.
  std::filesystem::path write(std::span<const std::byte> bytes,
                              const std::function<void(const std::filesystem::path&)>& before = {});

 private:
  std::filesystem::path path_of(int64_t number) const;

  std::filesystem::path folder_;
  std::string prefix_;
  int digits_;
  std::string suffix_;
  int64_t next_ = 0;
};

// Makes the folder (and those above it) and sees that files can be made in it. Throws Error.
void prepare_folder(const std::filesystem::path& folder);

// Sees that `path` can be written: its folder is there, and no file that is to stay is in its
// place. Throws Error.
void check_writable(const std::filesystem::path& path, bool overwrite);

// Writes to the standard output. Throws Error, also where its reader has gone.
void write_stdout(std::span<const std::byte> bytes);

}  // namespace easel::cli
