// What reads the bytes of strangers, one function each. libfuzzer.cpp hands them what a fuzzer
// makes up; replay.cpp, which any compiler builds, a folder of files and changes to them.
//
// A target may refuse its input with easel::Error. Everything else that it throws, and all that a
// sanitizer reports, is a fault.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

#include <easel/base/error.h>

namespace easel::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view bytes);
};

// Those of one file beside this one.
std::span<const Target> targets();

// Runs the target; true where it took its input, false where it refused it.
inline bool accepts(const Target& target, std::string_view bytes) {
  try {
    target.run(bytes);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A file in memory, for readers that map theirs.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : handle_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    while (handle_ >= 0 && !bytes.empty()) {
      const ssize_t written = ::write(handle_, bytes.data(), bytes.size());
      if (written <= 0) throw std::runtime_error("cannot write a file in memory");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  ~MemoryFile() { ::close(handle_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(handle_); }

 private:
  int handle_;
};

}  // namespace easel::fuzz
