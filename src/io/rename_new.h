// Giving a finished temporary file a name that nobody else has, in three ways of which not every
// file system knows all. Each returns 0, EEXIST where the name is taken, or another errno, and
// leaves `from` in place where it fails.
#pragma once

#include <filesystem>

namespace easel {

int rename_exclusive(const std::filesystem::path& from, const std::filesystem::path& to);
int rename_by_link(const std::filesystem::path& from, const std::filesystem::path& to);

// For file systems without hard links (FAT): takes the name with an empty file, then renames over
// it, so for a moment the empty file can be seen.
int rename_over_claim(const std::filesystem::path& from, const std::filesystem::path& to);

// The first of the three that the file system knows.
int rename_new(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace easel
