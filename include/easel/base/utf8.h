// Which bytes are UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates).
#pragma once

#include <cstddef>
#include <string_view>

namespace easel {

// The length of the valid UTF-8 sequence at the front of `text`, which is not empty; 0 where there
// is none.
size_t utf8_sequence_length(std::string_view text);

bool is_valid_utf8(std::string_view text);

}  // namespace easel
