// A lock that other processes see too: flock(2) on a file, as Python's filelock takes it.
#pragma once

#include <filesystem>
#include <functional>

namespace easel {

class FileLock {
 public:
  // Waits until the lock is free; `waiting` is called some ten times a second meanwhile and may
  // throw. The lock ends with this object, or with the process.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace easel
