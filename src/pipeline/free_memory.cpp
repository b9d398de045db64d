#include "free_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace easel {
namespace {

// The number behind `name` in a file of lines "NAME NUMBER ...", or the file's only one.
std::optional<int64_t> read_number(const std::filesystem::path& file, const std::string& name) {
  std::ifstream lines(file);
  int64_t number = 0;
  if (name.empty()) return lines >> number ? std::optional(number) : std::nullopt;
  for (std::string word; lines >> word;) {
    if (word == name) return lines >> number ? std::optional(number) : std::nullopt;
    lines.ignore(1 << 12, '\n');
  }
  return std::nullopt;
}

// What the control group leaves; "max" is no number, and no bound.
std::optional<int64_t> left_in_group() {
  const std::filesystem::path group = "/sys/fs/cgroup";
  const auto most = read_number(group / "memory.max", "");
  const auto used = read_number(group / "memory.current", "");
  if (!most || !used) return std::nullopt;
  // Pages of files are given up first.
  const int64_t files = read_number(group / "memory.stat", "inactive_file").value_or(0);
  return std::max<int64_t>(*most - *used + files, 0);
}

int64_t kept_by_heap() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  return static_cast<int64_t>(mallinfo2().fordblks);
#else
  return 0;
#endif
}

}  // namespace

std::optional<int64_t> free_memory() {
  const auto available = read_number("/proc/meminfo", "MemAvailable:");
  if (!available) return std::nullopt;
  int64_t bytes = *available * 1024;
  if (const auto left = left_in_group()) bytes = std::min(bytes, *left);
  return bytes + kept_by_heap();
}

}  // namespace easel
