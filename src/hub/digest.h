// The hashes by which a hub names its files.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace easel {

// 64 hexadecimal digits (SHA-256 of the bytes: files of Git LFS) or 40 (Git's SHA-1 of a blob).
bool is_file_hash(std::string_view text);

// The hash of a file in the form that `like` has. `check` is called now and then, and may throw.
std::string hash_of_file(const std::filesystem::path& path, std::string_view like,
                         const std::function<void()>& check);

}  // namespace easel
