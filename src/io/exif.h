// The one EXIF field that says how a picture is to be shown.
// Source: TIFF 6.0 for the container, CIPA DC-008 (Exif 2.32) for the tag.
#pragma once

#include <string_view>

namespace easel {

// The orientation, 1 to 8, of a JPEG (APP1) or PNG (eXIf) file; 1 where there is none, or where
// what there is is malformed, as viewers have it. `file` is the whole file.
int exif_orientation(std::string_view file);

}  // namespace easel
