#include "cli/leases.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <optional>
#include <random>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

struct Name {
  int64_t piece;
  int64_t generation;
};

// Nothing where a file is no lease.
std::optional<Name> parse_name(std::string_view text) {
  const auto number = [](std::string_view digits) {
    int64_t value = -1;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    return error == std::errc() && stop == end ? value : -1;
  };
  const size_t dot = text.find('.');
  if (dot == text.npos) return std::nullopt;
  const Name name{.piece = number(text.substr(0, dot)), .generation = number(text.substr(dot + 1))};
  if (name.piece < 0 || name.generation < 0) return std::nullopt;
  return name;
}

bool same(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

Leases::Leases(fs::path folder, std::string owner, Span lasts)
    : folder_(std::move(folder)), owner_(std::move(owner)), lasts_(lasts) {}

Leases::~Leases() {
  std::vector<int64_t> pieces;
  for (const auto& [piece, generation] : held_) pieces.push_back(piece);
  for (const int64_t piece : pieces) give_back(piece);
}

fs::path Leases::path_of(int64_t piece, int64_t generation) const {
  return folder_ / fmt::format("{}.{}", piece, generation);
}

void Leases::look(Time now) {
  std::error_code error;
  std::map<int64_t, int64_t> last;
  fs::directory_iterator entry(folder_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const auto name = parse_name(entry->path().filename().string());
    if (!name) continue;
    const auto [at, is_new] = last.emplace(name->piece, name->generation);
    if (!is_new) at->second = std::max(at->second, name->generation);
  }
  if (error) fail("cannot read the folder {}: {}", folder_.string(), error.message());
  std::erase_if(seen_, [&](const auto& seen) { return !last.contains(seen.first); });
  for (const auto& [piece, generation] : last) see(piece, generation, now);
}

void Leases::see(int64_t piece, int64_t generation, Time now) {
  struct stat status {};
  if (::stat(path_of(piece, generation).c_str(), &status) != 0) {
    seen_.erase(piece);  // given back in between
    return;
  }
  const auto [at, is_new] = seen_.try_emplace(piece);
  Seen& seen = at->second;
  if (!is_new && seen.generation == generation && same(seen.time, status.st_mtim)) return;
  seen = {.generation = generation, .time = status.st_mtim, .since = now};
}

bool Leases::is_free(int64_t piece, Time now) const {
  const std::lock_guard lock(mutex_);
  if (held_.contains(piece)) return false;
  const auto seen = seen_.find(piece);
  return seen == seen_.end() || now - seen->second.since >= lasts_;
}

bool Leases::take(int64_t piece, Time now) {
  int64_t generation = 0;
  if (const auto seen = seen_.find(piece); seen != seen_.end()) {
    // This process may have been held up itself, and not have looked for a while.
    generation = seen->second.generation;
    see(piece, generation, now);
    if (!is_free(piece, now)) return false;
    ++generation;
  }
  const fs::path path = path_of(piece, generation);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0 && errno == EEXIST) return false;
  if (file < 0) fail("cannot write {}: {}", path.string(), std::strerror(errno));
  {
    const std::lock_guard lock(mutex_);
    held_[piece] = generation;
  }
  const std::string text = owner_ + "\n";
  const ssize_t written = ::write(file, text.data(), text.size());
  const int failure = written < 0 ? errno : 0;
  ::close(file);
  if (failure != 0) fail("cannot write {}: {}", path.string(), std::strerror(failure));
  return true;
}

void Leases::give_back(int64_t piece) {
  int64_t generation = -1;
  {
    const std::lock_guard lock(mutex_);
    const auto held = held_.find(piece);
    if (held == held_.end()) return;
    generation = held->second;
    held_.erase(held);
  }
  for (; generation >= 0; --generation) ::unlink(path_of(piece, generation).c_str());
}

void Leases::renew() {
  std::vector<fs::path> paths;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [piece, generation] : held_) paths.push_back(path_of(piece, generation));
  }
  // No time given: a file server takes its own. A lease that is gone was given back or cleared
  // away.
  for (const fs::path& path : paths) ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

std::string process_name() {
  char host[HOST_NAME_MAX + 1] = {};
  ::gethostname(host, sizeof host - 1);
  std::string name(host);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  return fmt::format("{}-{}-{:08x}", name, ::getpid(), std::random_device()());
}

}  // namespace easel::cli
