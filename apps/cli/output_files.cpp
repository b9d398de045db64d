#include "cli/output_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

// The number in a file's name, -1 where the name is not of this series.
int64_t number_in(const std::string& name, const std::string& prefix, const std::string& suffix) {
  if (name.size() <= prefix.size() + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix)) {
    return -1;
  }
  const char* first = name.data() + prefix.size();
  const char* last = name.data() + name.size() - suffix.size();
  int64_t number = -1;
  if (!std::all_of(first, last, [](char c) { return c >= '0' && c <= '9'; })) return -1;
  const auto [end, error] = std::from_chars(first, last, number);
  return error == std::errc() && end == last ? number : -1;
}

}  // namespace

NumberedFiles::NumberedFiles(fs::path folder, std::string prefix, int digits, std::string suffix)
    : folder_(std::move(folder)),
      prefix_(std::move(prefix)),
      digits_(digits),
      suffix_(std::move(suffix)) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    next_ = std::max(next_, number_in(entry.path().filename().string(), prefix_, suffix_) + 1);
  }
}

fs::path NumberedFiles::path_of(int64_t number) const {
  return folder_ / fmt::format("{}{:0{}}{}", prefix_, number, digits_, suffix_);
}

fs::path NumberedFiles::write(std::span<const std::byte> bytes,
                              const std::function<void(const fs::path&)>& before) {
  while (true) {
    const fs::path path = path_of(next_++);
    std::error_code error;
    if (fs::exists(fs::symlink_status(path, error))) continue;
    try {
      if (before) before(path);
      write_atomically(path, IfExists::Refuse, [&](FileWriter& file) { file.write(bytes); });
      return path;
    } catch (const Error&) {
      if (!fs::exists(fs::symlink_status(path, error))) throw;
    }
  }
}

void prepare_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && !fs::is_directory(folder, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) fail("cannot make the folder {}: {}", folder.string(), error.message());
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    fail("cannot write in the folder {}: {}", folder.string(), std::strerror(errno));
  }
}

void check_writable(const fs::path& path, bool overwrite) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) fail("{} is a folder; give the name of a file", path.string());
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fail("{} is no regular file; '-' writes to the standard output", path.string());
  }
  if (fs::exists(status) && !overwrite) {
    fail("{} exists already; choose another name, or give --overwrite", path.string());
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error)) fail("there is no folder {}", folder.string());
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    fail("cannot write in the folder {}: {}", folder.string(), std::strerror(errno));
  }
}

void write_stdout(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write to the standard output: {}", std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

}  // namespace easel::cli
