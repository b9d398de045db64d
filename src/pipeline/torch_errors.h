// LibTorch's exceptions as Easel's: what() of theirs is a page with a backtrace.
#pragma once

#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <c10/util/Exception.h>

#include <easel/base/error.h>

namespace easel {

// Of the GPU's memory, or of the CPU's where the system refuses it.
inline bool is_out_of_memory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         std::string_view(error.what_without_backtrace()).find("allocate memory") !=
             std::string_view::npos;
}

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
    if (is_out_of_memory(error)) {
      fail("out of memory; {} ({})", hint, first);
    }
    fail("LibTorch: {}", first);
  }
}

}  // namespace easel
