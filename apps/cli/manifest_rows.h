// The lines of manifest files, which manifest.h describes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace easel::cli {

struct ManifestRow {
  std::string id;
  std::filesystem::path path;  // in the output folder
};

// Nothing where the line is malformed or names a file outside the folder.
std::optional<ManifestRow> parse_manifest_row(std::string_view line);

// The line of a picture, without its end. `settings` is JSON, or empty.
std::string manifest_row(const std::string& id, const std::filesystem::path& path,
                         const std::string& settings);

// A file that lines are added to, made when the first one is.
class RowFile {
 public:
  explicit RowFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~RowFile();
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;

  // Opens the file, where it is not open yet, and returns its descriptor. Throws Error.
  int open();
  // Adds a line, whole and on the disk, or throws Error.
  void append(std::string line);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace easel::cli
