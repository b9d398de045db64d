// A grid of pictures with words at its columns and rows.
#pragma once

#include <string>
#include <vector>

#include <easel/io/image.h>

namespace easel {

// The pictures row by row, all of one size, black on white words above the columns and left of the
// rows. Words are wrapped to the width of a picture. The letters are those of ASCII; any other
// character is a question mark. Throws Error where there are not columns * rows pictures, or they
// differ in size.
Image make_sheet(const std::vector<Image>& images, const std::vector<std::string>& columns,
                 const std::vector<std::string>& rows);

}  // namespace easel
