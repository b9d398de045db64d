#include "blob.h"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

#include "digest.h"
#include "file_lock.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_system(std::string_view doing, const fs::path& path) {
  fail("cannot {} '{}': {}", doing, path.string(), std::strerror(errno));
}

// -1 where there is no such file.
int64_t size_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : -1;
}

bool is_whole(const fs::path& path, const RemoteFile& file) {
  return size_of(path) == static_cast<int64_t>(file.size);
}

// blobs/HASH.incomplete, written from where it ends.
class IncompleteFile {
 public:
  IncompleteFile(fs::path path, const RemoteFile& file) : path_(std::move(path)), file_(file) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    if (fd_ < 0) fail_system("write", path_);
    const int64_t size = size_of(path_);
    if (size > 0) size_ = static_cast<uint64_t>(size);
    if (size_ > file.size) restart();
  }
  ~IncompleteFile() { ::close(fd_); }
  IncompleteFile(const IncompleteFile&) = delete;
  IncompleteFile& operator=(const IncompleteFile&) = delete;

  const fs::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  void restart() {
    if (::ftruncate(fd_, 0) != 0) fail_system("write", path_);
    size_ = 0;
  }

  void append(std::span<const std::byte> bytes) {
    if (bytes.size() > file_.size - size_) {
      restart();
      fail("{}: the server sends more than the {} bytes that the hub states", file_.name,
           file_.size);
    }
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        fail_system("write", path_);
      }
      bytes = bytes.subspan(static_cast<size_t>(written));
      size_ += static_cast<uint64_t>(written);
    }
  }

  void sync() const {
    if (::fsync(fd_) != 0) fail_system("write", path_);
  }

 private:
  fs::path path_;
  const RemoteFile& file_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Whether an answer of status 206 begins at byte `from`: "Content-Range: bytes 100-199/200".
bool begins_at(const HttpResponse& response, uint64_t from) {
  return response.header("content-range").starts_with(fmt::format("bytes {}-", from));
}

// Fetches what is missing. A transfer that breaks off is taken up again, as long as that brings
// more.
void fetch_rest(HttpClient& http, const RemoteRepo& repo, const RemoteFile& file,
                IncompleteFile& out, const std::function<void(uint64_t)>& on_bytes) {
  constexpr int kMaxRestarts = 2;
  int restarts = 0;
  int failures = 0;
  while (out.size() < file.size) {
    const uint64_t before = out.size();
    bool first = true;
    const auto on_body = [&](const HttpResponse& answer, std::span<const std::byte> bytes) {
      if (std::exchange(first, false) && before > 0 && !begins_at(answer, before)) {
        if (answer.status != 200) {
          fail("{}: the server sends '{}', expected the bytes from {} on", file.name,
               printable(answer.header("content-range")), before);
        }
        out.restart();  // the server sends the whole file, whatever it was asked for
      }
      out.append(bytes);
      on_bytes(out.size());
    };
    const HttpResponse response = http.get(file.url, before, on_body);
    const bool restart = response.status == 416 && before > 0 && ++restarts <= kMaxRestarts;
    if (restart) out.restart();  // what is there does not fit what the server has
    const bool refused = !response.error.empty() || response.status >= 300;
    failures = out.size() > before ? 0 : failures + 1;
    // A network that was there may come back.
    const bool may_pass = response.may_pass || (!response.error.empty() && out.size() > 0);
    if (refused && !restart && (!may_pass || failures == kTries)) {
      repo.refuse(response, file.name);
    }
    if (out.size() == file.size) return;
    if (failures == kTries) {
      fail("{}: the server sends {} bytes, expected {}; fetch again to go on from there", file.name,
           out.size(), file.size);
    }
    repo.pause();
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot make the folder '{}': {}", folder.string(), error.message());
}

// snapshot/unet/config.json -> ../../../blobs/HASH, in one step.
void link_blob(const RepoPlaces& places, const RemoteFile& file) {
  const fs::path link = places.snapshot / file.name;
  make_folder(link.parent_path());
  const fs::path target = places.blob(file).lexically_relative(link.parent_path());
  const fs::path temporary =
      link.parent_path() / fmt::format(".easel-{}-{}.tmp", ::getpid(), file.hash.substr(0, 16));
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) {
    // A file system without links: the file itself lies in the snapshot, as huggingface_hub does.
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) fail_system("write", link);
    if (::rename(places.blob(file).c_str(), link.c_str()) != 0) fail_system("write", link);
    return;
  }
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    errno = reason;
    fail_system("write", link);
  }
}

}  // namespace

uint64_t bytes_there(const RepoPlaces& places, const RemoteFile& file) {
  if (is_whole(places.snapshot / file.name, file) || is_whole(places.blob(file), file)) {
    return file.size;
  }
  const int64_t size = size_of(places.incomplete(file));
  return size > 0 && static_cast<uint64_t>(size) <= file.size ? static_cast<uint64_t>(size) : 0;
}

void fetch_file(HttpClient& http, const RemoteRepo& repo, const RepoPlaces& places,
                const RemoteFile& file, const FetchCallbacks& callbacks,
                const std::function<void(uint64_t)>& on_bytes) {
  if (is_whole(places.snapshot / file.name, file)) return on_bytes(file.size);
  make_folder(places.folder / "blobs");
  make_folder(places.locks);
  const FileLock lock(places.locks / (file.hash + ".lock"), [&, said = false]() mutable {
    if (!said) {
      say(callbacks.log, LogLevel::Info,
          fmt::format("{} is being fetched by another process; waiting for it", file.name));
    }
    said = true;
    if (callbacks.check) callbacks.check();
  });
  if (!is_whole(places.blob(file), file)) {
    {
      IncompleteFile out(places.incomplete(file), file);
      on_bytes(out.size());
      fetch_rest(http, repo, file, out, on_bytes);
      const std::string hash = hash_of_file(out.path(), file.hash, callbacks.check);
      if (hash != file.hash) {
        ::unlink(out.path().c_str());
        fail(
            "{}: the bytes that came have the hash {}, expected {}; they are thrown away, fetch "
            "again",
            file.name, hash, file.hash);
      }
      out.sync();
    }
    if (::rename(places.incomplete(file).c_str(), places.blob(file).c_str()) != 0) {
      fail_system("write", places.blob(file));
    }
  }
  on_bytes(file.size);
  link_blob(places, file);
}

}  // namespace easel
