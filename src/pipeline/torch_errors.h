// LibTorch's exceptions as Easel's: what() of theirs is a page with a backtrace.
#pragma once

#include <new>
#include <string>
#include <utility>

#include <c10/util/Exception.h>

#include <easel/base/error.h>

namespace easel {

// Calls `work`; `hint` says what the user can do where memory runs out.
template <class Work>
decltype(auto) with_plain_errors(std::string_view hint, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    fail("out of memory; {}", hint);
  } catch (const c10::OutOfMemoryError& error) {
    const std::string text = error.what_without_backtrace();
    fail("out of memory on the GPU; {} ({})", hint,
         printable(text.substr(0, text.find('\n')), 300));
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    const std::string first = printable(text.substr(0, text.find('\n')), 300);
    if (text.find("allocate memory") != std::string::npos) {
      fail("out of memory; {} ({})", hint, first);
    }
    fail("LibTorch: {}", first);
  }
}

}  // namespace easel
