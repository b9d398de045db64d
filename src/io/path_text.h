// How the io layer names files and the system's reasons in its errors.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>

#include <easel/base/error.h>

namespace easel {

// A path as it may be shown in a message, uncut up to the system's own limit.
inline std::string path_text(const std::filesystem::path& path) {
  return printable(path.native(), 4096);
}

// "cannot read 'a.bin': No such file or directory". `doing` is an infinitive.
[[noreturn]] inline void fail_errno(std::string_view doing, const std::filesystem::path& path,
                                    int error_number) {
  fail("cannot {} '{}': {}", doing, path_text(path), std::strerror(error_number));
}

}  // namespace easel
