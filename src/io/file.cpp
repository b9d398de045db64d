#include "easel/io/file.h"

#include <cerrno>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

#include "path_text.h"
#include "rename_new.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class BufferedWriter final : public FileWriter {
 public:
  using FileWriter::write;
  BufferedWriter(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {
    buffer_.reserve(kBufferBytes);
  }

  void write(std::span<const std::byte> bytes) override {
    if (buffer_.size() + bytes.size() > kBufferBytes) flush();
    if (bytes.size() >= kBufferBytes) {
      write_all(bytes);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  }

  void flush() {
    write_all(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr size_t kBufferBytes = 1 << 20;

  void write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        fail_errno("write", path_, errno);
      }
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
  }

  int fd_;
  fs::path path_;  // the final name, for messages
  std::vector<std::byte> buffer_;
};

// A new file beside the one to be written; unlinked unless it was given its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target) : fd_(-1) {
    const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
    std::random_device random;
    while (fd_ < 0) {
      // Not derived from the target's name, which may already be as long as a name can be.
      path_ = folder / fmt::format(".easel-{:08x}{:08x}.tmp", random(), random());
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ < 0 && errno != EEXIST && errno != EINTR) fail_errno("write", target, errno);
    }
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!named_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_; }
  const fs::path& path() const { return path_; }
  int close() { return ::close(std::exchange(fd_, -1)); }
  void has_its_name() { named_ = true; }

 private:
  int fd_;
  fs::path path_;
  bool named_ = false;
};

[[noreturn]] void fail_exists(const fs::path& path) {
  fail("'{}' exists already and is not overwritten; choose another name or remove it",
       path_text(path));
}

// The file that is to be written: `path`, or what it links to. Everything that can be refused
// before the work begins is refused here.
fs::path checked_target(const fs::path& path, IfExists if_exists) {
  if (!path.has_filename() || path.filename() == "." || path.filename() == "..") {
    fail("cannot write '{}': it names a folder, not a file", path_text(path));
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (if_exists == IfExists::Refuse) fail_exists(path);
    if (::stat(path.c_str(), &status) != 0) fail_errno("write", path, errno);
    if (S_ISDIR(status.st_mode)) fail("cannot write '{}': it is a folder", path_text(path));
    if (!S_ISREG(status.st_mode)) fail("cannot write '{}': it is no regular file", path_text(path));
    std::error_code error;
    fs::path target = fs::canonical(path, error);
    if (error) fail_errno("write", path, error.value());
    return target;
  }
  if (errno != ENOENT) fail_errno("write", path, errno);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  if (!fs::exists(folder, error)) {
    fail("cannot write '{}': there is no folder '{}'", path_text(path), path_text(folder));
  }
  return path;
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  // O_NONBLOCK: a pipe without a writer would otherwise hang here.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_errno("read", path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_errno("read", path, errno);
  if (S_ISDIR(status.st_mode)) fail("cannot read '{}': it is a folder", path_text(path));
  if (!S_ISREG(status.st_mode)) fail("cannot read '{}': it is no regular file", path_text(path));

  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return mapped;
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) fail_errno("map", path, errno);
  mapped->bytes_ = {static_cast<const std::byte*>(memory), size};
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string read_text_file(const fs::path& path, size_t max_bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail_errno("read", path, errno);
  std::string text;
  std::vector<char> block(1 << 16);
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got == 0) return text;
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EISDIR) fail("cannot read '{}': it is a folder", path_text(path));
      fail_errno("read", path, errno);
    }
    if (static_cast<size_t>(got) > max_bytes - text.size()) {
      fail("cannot read '{}': it is larger than the {} bytes that are allowed for such a file",
           path_text(path), max_bytes);
    }
    text.append(block.data(), static_cast<size_t>(got));
  }
}

void write_atomically(const fs::path& path, IfExists if_exists,
                      const std::function<void(FileWriter&)>& produce) {
  const fs::path target = checked_target(path, if_exists);
  TemporaryFile temporary(target);
  {
    BufferedWriter writer(temporary.fd(), path);
    produce(writer);
    writer.flush();
  }
  struct stat replaced {};
  if (if_exists == IfExists::Replace && ::stat(target.c_str(), &replaced) == 0) {
    // As when the file is overwritten in place. Not every file system has modes.
    [[maybe_unused]] const int unchanged = ::fchmod(temporary.fd(), replaced.st_mode & 0777);
  }
  if (::fsync(temporary.fd()) != 0) fail_errno("write", path, errno);
  if (temporary.close() != 0) fail_errno("write", path, errno);

  int error = 0;
  if (if_exists == IfExists::Refuse) {
    error = rename_new(temporary.path(), target);
  } else if (::rename(temporary.path().c_str(), target.c_str()) != 0) {
    error = errno;
  }
  if (error == EEXIST && if_exists == IfExists::Refuse) fail_exists(path);
  if (error != 0) fail_errno("write", path, error);
  temporary.has_its_name();
}

void remove_folder(const fs::path& folder) {
  const auto remove_one = [](const char* entry, const struct stat*, int, struct FTW*) {
    return std::remove(entry);
  };
  constexpr int kOpenFolders = 16;
  if (::nftw(folder.c_str(), remove_one, kOpenFolders, FTW_DEPTH | FTW_PHYS) != 0) {
    fail_errno("remove", folder, errno);
  }
}

}  // namespace easel
