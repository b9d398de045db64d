// How the library speaks to a program: callbacks. The library never prints.
#pragma once

#include <functional>
#include <string_view>

namespace easel {

enum class LogLevel { Debug, Info, Warning };

// Receives one line of text without a newline. May be called from the calling thread only.
using Log = std::function<void(LogLevel, std::string_view)>;

// Calls `log` where there is one.
inline void say(const Log& log, LogLevel level, std::string_view text) {
  if (log) log(level, text);
}

}  // namespace easel
