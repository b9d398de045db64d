#include "cli/prompt_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "cli/interrupt.h"

namespace easel::cli {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;

std::string read_stdin() {
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    check_interrupted();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read the standard input: {}", std::strerror(errno));
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > kMaxBytes) fail("the standard input holds more than {} bytes", kMaxBytes);
  }
}

// The length of the line break at the front of `text`, 0 where there is none.
size_t line_break_length(std::string_view text) {
  for (const std::string_view each : {"\r\n", "\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e",
                                      "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
    if (text.starts_with(each)) return each.size();
  }
  return 0;
}

}  // namespace

std::vector<std::string> split_lines(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<std::string> lines;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = line_break_length(text.substr(i, 3));
    if (length > 0) lines.emplace_back(text.substr(start, i - start));
    i += std::max<size_t>(length, 1);
    if (length > 0) start = i;
  }
  if (start < text.size()) lines.emplace_back(text.substr(start));
  return lines;
}

std::vector<PromptLine> read_prompt_file(const std::string& path, std::span<const Option> options) {
  const std::string text = path == "-" ? read_stdin() : read_text_file(path, kMaxBytes);
  const std::string name = path == "-" ? "standard input" : path;
  std::vector<PromptLine> lines;
  size_t num_wrong = 0;
  for (const std::string& text_line : split_lines(text)) {
    PromptLine line;
    try {
      line = parse_prompt_line(text_line, options);
    } catch (const Error& error) {
      line.error = error.what();
      ++num_wrong;
    }
    line.where = fmt::format("{}:{}", name, lines.size() + 1);
    lines.push_back(std::move(line));
  }
  if (lines.empty()) fail("{}: holds no prompt; it has one a line", name);
  if (num_wrong == lines.size()) fail("{}: {}", lines[0].where, lines[0].error);
  return lines;
}

}  // namespace easel::cli
