// The one exception type, and the wording of the errors that every layer reports.
//
// A message says what is wrong, what was got, what was expected and how to mend it, in one or two
// sentences without a trailing newline. TORCH_CHECK is for internal mistakes only.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace easel {

enum class ErrorKind {
  Runtime,      // a file, a model, the device: exit code 1
  Usage,        // what the user asked for cannot be meant: exit code 2
  Interrupted,  // the user's Ctrl-C, through a callback: exit code 130
};

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ErrorKind kind = ErrorKind::Runtime)
      : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws an Error of kind Runtime with a fmt-formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// Throws an Error of kind Usage with a fmt-formatted message.
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), ErrorKind::Usage);
}

// "unknown sampler 'eular'; did you mean 'euler'? Known: euler, euler_a, ...": the known names
// stand nearest first (edit distance). `what` names the kind of thing in the singular.
std::string unknown_name(std::string_view what, std::string_view got,
                         std::span<const std::string_view> known);

// A foreign string as it may be shown in a message: control characters and invalid UTF-8 escaped,
// cut to `max_length` bytes with "..." at the end.
std::string printable(std::string_view text, size_t max_length = 120);

}  // namespace easel
