#include "easel/io/sheet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wuseless-cast"
#endif
#include <stb/stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#include <easel/base/error.h>
#include <easel/base/utf8.h>

#include "image_check.h"

namespace easel {
namespace {

constexpr int kScale = 2;  // pixels a dot of the font
constexpr int kLineHeight = 12 * kScale;
constexpr int kMargin = 4 * kScale;
constexpr size_t kMaxLines = 6;

std::string ascii_of(std::string_view text) {
  std::string ascii;
  while (!text.empty()) {
    const size_t length = std::max<size_t>(utf8_sequence_length(text), 1);
    const char c = text[0];
    ascii += length == 1 && c >= ' ' && c <= '~' ? c : c == '\n' ? ' ' : '?';
    text.remove_prefix(length);
  }
  return ascii;
}

int text_width(std::string line) { return stb_easy_font_width(line.data()) * kScale; }

// Lines of at most `width` pixels, broken at spaces where there are any.
std::vector<std::string> wrapped(std::string_view label, int width) {
  const std::string text = ascii_of(label);
  std::vector<std::string> lines;
  std::string line;
  const auto end_line = [&] {
    lines.push_back(line);
    line.clear();
  };
  for (size_t at = 0; at < text.size() && lines.size() < kMaxLines;) {
    const size_t end = std::min(text.find(' ', at), text.size());
    std::string word = text.substr(at, end - at);
    if (!line.empty() && text_width(line + " " + word) > width) end_line();
    while (word.size() > 1 && text_width(word) > width) {
      size_t fits = 1;
      while (text_width(word.substr(0, fits + 1)) <= width) ++fits;
      lines.push_back(word.substr(0, fits));
      word.erase(0, fits);
    }
    line += (line.empty() ? "" : " ") + word;
    at = end + 1;
  }
  if (!line.empty()) end_line();
  if (lines.size() > kMaxLines) {
    lines.resize(kMaxLines);
    lines.back() += "...";
  }
  return lines;
}

void fill(Image& image, int left, int top, int right, int bottom) {
  for (int y = std::max(top, 0); y < std::min(bottom, image.height); ++y) {
    for (int x = std::max(left, 0); x < std::min(right, image.width); ++x) {
      uint8_t* pixel = image.pixels.data() + 3 * (size_t(y) * size_t(image.width) + size_t(x));
      std::fill(pixel, pixel + 3, uint8_t{0});
    }
  }
}

void draw_line(Image& image, std::string line, int left, int top) {
  struct Vertex {
    float x, y, z;
    std::array<uint8_t, 4> color;
  };
  std::vector<Vertex> vertices(line.size() * 64 + 64);
  const auto bytes = static_cast<int>(vertices.size() * sizeof(Vertex));
  const int num = stb_easy_font_print(0, 0, line.data(), nullptr, vertices.data(), bytes);
  for (int i = 0; i < num; ++i) {
    const Vertex& first = vertices[static_cast<size_t>(4 * i)];
    const Vertex& opposite = vertices[static_cast<size_t>(4 * i + 2)];
    const auto dots = [](float value) { return static_cast<int>(std::lround(value)) * kScale; };
    fill(image, left + dots(first.x), top + dots(first.y), left + dots(opposite.x),
         top + dots(opposite.y));
  }
}

// The lines in the middle of a box.
void draw_label(Image& image, const std::vector<std::string>& lines, int left, int top, int width,
                int height) {
  int y = top + (height - static_cast<int>(lines.size()) * kLineHeight) / 2;
  for (const std::string& line : lines) {
    draw_line(image, line, left + std::max(0, (width - text_width(line)) / 2), y);
    y += kLineHeight;
  }
}

void paste(Image& sheet, const Image& image, int left, int top) {
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* from = image.pixels.data() + 3 * size_t(y) * size_t(image.width);
    uint8_t* to = sheet.pixels.data() + 3 * (size_t(top + y) * size_t(sheet.width) + size_t(left));
    std::copy(from, from + 3 * size_t(image.width), to);
  }
}

using Labels = std::vector<std::vector<std::string>>;

Labels wrapped_all(const std::vector<std::string>& labels, int width) {
  Labels all;
  for (const std::string& label : labels) all.push_back(wrapped(label, width));
  return all;
}

}  // namespace

Image make_sheet(const std::vector<Image>& images, const std::vector<std::string>& columns,
                 const std::vector<std::string>& rows) {
  if (images.empty() || images.size() != columns.size() * rows.size()) {
    fail("a sheet of {} columns and {} rows has {} pictures; got {}", columns.size(), rows.size(),
         columns.size() * rows.size(), images.size());
  }
  for (const Image& image : images) {
    check_image(image);
    if (image.width != images[0].width || image.height != images[0].height || image.channels != 3) {
      fail("the pictures of a sheet differ in size, or are not in colour");
    }
  }
  const int width = images[0].width;
  const int height = images[0].height;
  const Labels above = wrapped_all(columns, width);
  const Labels beside = wrapped_all(rows, std::max(width, 64));
  size_t lines = 0;
  for (const auto& label : above) lines = std::max(lines, label.size());
  int side = 0;
  for (const auto& label : beside) {
    for (const std::string& line : label) side = std::max(side, text_width(line));
  }
  if (side > 0) side += 2 * kMargin;
  const int top = lines > 0 ? static_cast<int>(lines) * kLineHeight + kMargin : 0;
  const auto length = [](int start, int each, size_t num) {
    return start + static_cast<double>(each + kMargin) * static_cast<double>(num);
  };
  const double all_x = length(side, width, columns.size());
  const double all_y = length(top, height, rows.size());
  if (all_x * all_y > double{1 << 29}) fail("a sheet of {}x{} pixels is too large", all_x, all_y);

  Image sheet{.width = static_cast<int>(all_x),
              .height = static_cast<int>(all_y),
              .channels = 3,
              .pixels = std::vector<uint8_t>(3 * static_cast<size_t>(all_x * all_y), 255)};
  for (size_t c = 0; c < columns.size(); ++c) {
    const int x = side + static_cast<int>(c) * (width + kMargin);
    draw_label(sheet, above[c], x, 0, width, top);
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    const int y = top + static_cast<int>(r) * (height + kMargin);
    draw_label(sheet, beside[r], 0, y, side, height);
    for (size_t c = 0; c < columns.size(); ++c) {
      paste(sheet, images[r * columns.size() + c], side + static_cast<int>(c) * (width + kMargin),
            y);
    }
  }
  return sheet;
}

}  // namespace easel
