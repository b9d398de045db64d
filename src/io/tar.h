// Tar archives (POSIX ustar, with the pax and GNU headers skipped).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace easel {

// True where `bytes` begin with a tar header whose checksum is right.
bool looks_like_tar(std::span<const std::byte> bytes);

// The regular files of an archive, as views of `bytes`. Throws Error.
std::map<std::string, std::span<const std::byte>> read_tar(std::span<const std::byte> bytes);

}  // namespace easel
