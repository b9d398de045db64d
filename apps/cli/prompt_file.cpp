#include "cli/prompt_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
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

PromptFile read_prompt_file(const std::string& path) {
  const std::string text = path == "-" ? read_stdin() : read_text_file(path, kMaxBytes);
  const std::string name = path == "-" ? "standard input" : path;
  PromptFile file;
  const std::vector<std::string> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (is_valid_utf8(lines[i])) {
      file.prompts.push_back(lines[i]);
    } else {
      file.errors.push_back(fmt::format("{}:{}: the line is not UTF-8 and is left out: '{}'", name,
                                        i + 1, printable(lines[i], 60)));
    }
  }
  if (!file.prompts.empty()) return file;
  if (!file.errors.empty()) throw Error(file.errors.front());
  fail("{}: holds no prompt; it has one a line", name);
}

std::vector<std::vector<std::string>> in_batches(const std::vector<std::string>& prompts,
                                                 size_t size) {
  std::vector<std::vector<std::string>> batches;
  for (size_t i = 0; i < prompts.size(); i += size) {
    const auto first = prompts.begin() + static_cast<std::ptrdiff_t>(i);
    const auto last =
        prompts.begin() + static_cast<std::ptrdiff_t>(std::min(i + size, prompts.size()));
    batches.emplace_back(first, last);
  }
  return batches;
}

}  // namespace easel::cli
