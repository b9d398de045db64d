#include "cli/manifest_rows.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxLineBytes = 1 << 20;

}  // namespace

std::optional<ManifestRow> parse_manifest_row(std::string_view line) {
  if (line.empty() || line.size() > kMaxLineBytes) return std::nullopt;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!json.is_object()) return std::nullopt;
  ManifestRow row{.id = text("id"), .path = fs::path(text("path")).lexically_normal()};
  if (row.id.empty() || row.path.empty() || row.path.is_absolute() || *row.path.begin() == "..") {
    return std::nullopt;
  }
  return row;
}

std::string manifest_row(const std::string& id, const fs::path& path, const std::string& settings) {
  using Json = nlohmann::ordered_json;
  Json row = {{"id", id}, {"path", path.generic_string()}};
  if (!settings.empty()) row["settings"] = Json::parse(settings);
  return row.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RowFile::~RowFile() {
  if (file_ >= 0) ::close(file_);
}

int RowFile::open() {
  if (file_ >= 0) return file_;
  file_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  return file_;
}

void RowFile::append(std::string line) {
  open();
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
  fail("cannot write {}: {}", path_.string(), std::strerror(reason));
}

}  // namespace easel::cli
