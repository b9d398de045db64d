#include "append_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

#include "../io/path_text.h"

namespace easel {

AppendFile::AppendFile(std::filesystem::path path, bool must_be_new)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(),
                         O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (must_be_new ? O_EXCL : 0),
                         0666)) {
  if (descriptor_ < 0) fail_errno("write to", path_, errno);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view bytes) {
  struct stat before {};
  if (::fstat(descriptor_, &before) != 0) fail_errno("write to", path_, errno);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      // What was written of a record would spoil those after it.
      if (S_ISREG(before.st_mode) && ::ftruncate(descriptor_, before.st_size) != 0) {
        fail("cannot write to '{}': {}; and its last record is cut off", path_text(path_),
             std::strerror(reason));
      }
      fail_errno("write to", path_, reason);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace easel
