// What a file seems to be, by its first bytes: for messages about files that are of no use here.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace easel {

// The view of mapped bytes as text.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "an HTML page, perhaps a download that failed": a phrase for "it seems to be ...". Empty where
// nothing is recognised.
std::string_view guess_content(std::span<const std::byte> bytes);

}  // namespace easel
