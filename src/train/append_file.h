// A file that only grows, write by write.
#pragma once

#include <filesystem>
#include <string_view>

namespace easel {

class AppendFile {
 public:
  // Opens `path`, or with `must_be_new` makes it. Throws Error where that fails.
  AppendFile(std::filesystem::path path, bool must_be_new);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // All of the bytes go to the system at once, or none stay and an Error is thrown (a full disk).
  void append(std::string_view bytes);

 private:
  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace easel
