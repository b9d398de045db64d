#include "cli/manifest.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <set>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;
constexpr size_t kMaxLineBytes = 1 << 20;

fs::path file_of(const fs::path& folder) { return folder / "manifest.jsonl"; }

struct Row {
  std::string id;
  fs::path path;
};

// Nothing where the line is malformed or names a file outside the folder.
std::optional<Row> parse_row(std::string_view line) {
  if (line.empty() || line.size() > kMaxLineBytes) return std::nullopt;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!json.is_object()) return std::nullopt;
  Row row{.id = text("id"), .path = fs::path(text("path")).lexically_normal()};
  if (row.id.empty() || row.path.empty() || row.path.is_absolute() || *row.path.begin() == "..") {
    return std::nullopt;
  }
  return row;
}

// The only writer while it lives.
class Lock {
 public:
  explicit Lock(int file) : file_(file) {
    while (::flock(file_, LOCK_EX) != 0) {
      // A file system without locks: the names are safe all the same, see NumberedFiles.
      if (errno != EINTR) return;
    }
  }
  ~Lock() { ::flock(file_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int file_;
};

}  // namespace

Manifest::Manifest(fs::path folder, bool read) : folder_(std::move(folder)) {
  std::error_code error;
  if (!read || !fs::exists(file_of(folder_), error)) return;
  const std::string text = read_text_file(file_of(folder_), kMaxBytes);
  std::vector<Row> rows;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto row = parse_row(rest.substr(0, end))) rows.push_back(std::move(*row));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::set<fs::path> seen;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (!seen.insert(row->path).second) continue;
    const fs::path path = folder_ / row->path;
    if (fs::is_regular_file(path, error)) there_[row->id].push_back(path);
  }
}

Manifest::~Manifest() {
  if (file_ >= 0) ::close(file_);
}

std::optional<fs::path> Manifest::take(const std::string& id) {
  const auto found = there_.find(id);
  if (found == there_.end() || found->second.empty()) return std::nullopt;
  fs::path path = std::move(found->second.back());
  found->second.pop_back();
  return path;
}

void Manifest::open() {
  if (file_ >= 0) return;
  file_ = ::open(file_of(folder_).c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail("cannot write {}: {}", file_of(folder_).string(), std::strerror(errno));
}

void Manifest::append(std::string line) {
  struct stat status {};
  char last = '\n';
  if (::fstat(file_, &status) == 0 && status.st_size > 0 &&
      ::pread(file_, &last, 1, status.st_size - 1) == 1 && last != '\n') {
    line.insert(line.begin(), '\n');  // behind a line that a full disk has cut
  }
  line += '\n';
  const ssize_t written = ::write(file_, line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()) && ::fdatasync(file_) == 0) return;
  const int reason = written >= 0 ? ENOSPC : errno;
  if (::ftruncate(file_, status.st_size) != 0) {  // then it stays as a malformed line
  }
  fail("cannot write {}: {}", file_of(folder_).string(), std::strerror(reason));
}

fs::path Manifest::write(NumberedFiles& files, std::span<const std::byte> bytes,
                         const std::string& id, const std::string& settings) {
  open();
  const Lock lock(file_);
  return files.write(bytes, [&](const fs::path& path) {
    using Json = nlohmann::ordered_json;
    Json row = {{"id", id}, {"path", path.lexically_relative(folder_).generic_string()}};
    if (!settings.empty()) row["settings"] = Json::parse(settings);
    append(row.dump(-1, ' ', false, Json::error_handler_t::replace));
  });
}

std::string text_id(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

}  // namespace easel::cli
