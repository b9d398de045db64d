// The manifest of an output folder: one JSON object a line for each picture in it, so that a run
// that was ended can be taken up again.
//
//   {"id": "93b1...", "path": "samples/00000.png", "settings": {...}}
//
// Lines are only ever added, each before its picture gets its name. A picture is there where the
// last line for its path has its id and the file is there: files appear whole or not at all, so
// that is so whenever a program was killed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/manifest_rows.h"
#include "cli/output_files.h"

namespace easel::cli {

class Manifest {
 public:
  // The manifest of `folder`; with `read`, what is in it. Throws Error where it is there and cannot
  // be read; a malformed line counts for nothing.
  Manifest(std::filesystem::path folder, bool read);

  // A picture with this id that was there at the start, each one once.
  std::optional<std::filesystem::path> take(const std::string& id);

  // Writes the next of `files`, which lie in the folder, and its line. No other program that
  // writes this manifest does so meanwhile. `settings` is JSON, or empty. Throws Error.
  std::filesystem::path write(NumberedFiles& files, std::span<const std::byte> bytes,
                              const std::string& id, const std::string& settings);

 private:
  std::filesystem::path folder_;
  RowFile rows_;
  std::map<std::string, std::vector<std::filesystem::path>> there_;  // by id, the first one last
};

// 16 hexadecimal digits that stand for a text (64-bit FNV-1a).
std::string text_id(std::string_view text);

// Of a grid of pictures; `ids` are theirs, one behind the other.
std::string grid_id(const std::string& ids);

}  // namespace easel::cli
