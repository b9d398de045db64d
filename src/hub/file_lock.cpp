#include "file_lock.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

namespace easel {

FileLock::FileLock(const std::filesystem::path& path, const std::function<void()>& waiting) {
  constexpr std::chrono::milliseconds kPause(100);
  try {
    for (;;) {
      if (fd_ < 0) fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      if (fd_ < 0) fail("cannot write '{}': {}", path.string(), std::strerror(errno));
      if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) {
        // Whoever had it may have removed the file: then nobody else would see this lock.
        struct stat status {};
        if (::fstat(fd_, &status) == 0 && status.st_nlink > 0) return;
        ::close(fd_);
        fd_ = -1;
        continue;
      }
      if (errno != EWOULDBLOCK && errno != EINTR) {
        fail("cannot lock '{}': {}", path.string(), std::strerror(errno));
      }
      if (waiting) waiting();
      std::this_thread::sleep_for(kPause);
    }
  } catch (...) {
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace easel
