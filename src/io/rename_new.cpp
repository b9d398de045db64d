#include "rename_new.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace easel {

int rename_exclusive(const std::filesystem::path& from, const std::filesystem::path& to) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0 ? 0
                                                                                          : errno;
}

int rename_by_link(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  ::unlink(from.c_str());
  return 0;
}

int rename_over_claim(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int claim = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (claim < 0) return errno;
  ::close(claim);
  if (::rename(from.c_str(), to.c_str()) == 0) return 0;
  const int failure = errno;
  ::unlink(to.c_str());
  return failure;
}

int rename_new(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int exclusive = rename_exclusive(from, to);
  if (exclusive != EINVAL && exclusive != ENOSYS) return exclusive;
  const int linked = rename_by_link(from, to);
  if (linked == 0 || linked == EEXIST) return linked;
  return rename_over_claim(from, to);
}

}  // namespace easel
