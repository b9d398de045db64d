// Whether a picture file is all there. stb_image decodes what there is of a damaged file; this
// finds the damage first.
#pragma once

#include <string_view>

namespace easel {

enum class PictureFormat { Png, Jpeg, Bmp, Pnm, Gif, Psd, Tga, Unknown };

// By its first bytes. A TGA has none that say so: `extension` (".tga") does.
PictureFormat picture_format(std::string_view file, std::string_view extension);

// Throws Error where a file is truncated (a GIF: its first picture) or its structure is damaged.
// The header has been read by stb_image before.
void check_whole(std::string_view file, PictureFormat format);

}  // namespace easel
