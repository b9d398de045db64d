// The text that a JPEG file carries: EXIF's user comment, where A1111 and others keep settings.
// Source: TIFF 6.0 for the container, CIPA DC-008 (Exif 2.32) for the tags.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// The JPEG file with `text` (UTF-8) as its user comment. Unchanged where the text is longer than
// the 64 KiB that EXIF can hold, or empty.
std::vector<std::byte> with_jpeg_text(std::vector<std::byte> jpeg, std::string_view text);

// The user comment of a JPEG file, "" where there is none or what there is is malformed. Throws
// Error where the file cannot be read.
std::string read_jpeg_text(const std::filesystem::path& path);

}  // namespace easel
