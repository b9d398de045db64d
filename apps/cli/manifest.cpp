#include "cli/manifest.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <sys/file.h>

#include <easel/io/file.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

fs::path file_of(const fs::path& folder) { return folder / "manifest.jsonl"; }

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

Manifest::Manifest(fs::path folder, bool read)
    : folder_(std::move(folder)), rows_(file_of(folder_)) {
  std::error_code error;
  if (!read || !fs::exists(file_of(folder_), error)) return;
  const std::string text = read_text_file(file_of(folder_), kMaxBytes);
  std::vector<ManifestRow> rows;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto row = parse_manifest_row(rest.substr(0, end))) rows.push_back(std::move(*row));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::set<fs::path> seen;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (!seen.insert(row->path).second) continue;
    const fs::path path = folder_ / row->path;
    if (fs::is_regular_file(path, error)) there_[row->id].push_back(path);
  }
}

std::optional<fs::path> Manifest::take(const std::string& id) {
  const auto found = there_.find(id);
  if (found == there_.end() || found->second.empty()) return std::nullopt;
  fs::path path = std::move(found->second.back());
  found->second.pop_back();
  return path;
}

fs::path Manifest::write(NumberedFiles& files, std::span<const std::byte> bytes,
                         const std::string& id, const std::string& settings) {
  const Lock lock(rows_.open());
  return files.write(bytes, [&](const fs::path& path) {
    rows_.append(manifest_row(id, path.lexically_relative(folder_), settings));
  });
}

std::string text_id(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

std::string grid_id(const std::string& ids) { return text_id("grid " + ids); }

}  // namespace easel::cli
