#include "cli/program.h"

#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <system_error>

#include <fmt/format.h>
#include <sys/resource.h>

#include <easel/base/error.h>

#include "cli/output_files.h"

namespace easel::cli {
namespace {

int report(std::string_view name, std::string_view message, int code) {
  const std::string line = fmt::format("{}: error: {}\n", name, message);
  std::fwrite(line.data(), 1, line.size(), stderr);
  return code;
}

}  // namespace

std::string_view version() { return EASEL_VERSION; }

int run_program(std::string_view name, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    switch (error.kind()) {
      case ErrorKind::Usage:
        return report(name, fmt::format("{} ({} --help shows the options)", error.what(), name), 2);
      case ErrorKind::Interrupted:
        std::fputs(fmt::format("{}: {}\n", name, error.what()).c_str(), stderr);
        return 130;
      case ErrorKind::Runtime:
        break;
    }
    return report(name, error.what(), 1);
  } catch (const std::bad_alloc&) {
    return report(name, "out of memory", 1);
  } catch (const std::exception& error) {
    return report(name, error.what(), 1);
  }
}

void print_stdout(std::string_view text) {
  write_stdout(std::as_bytes(std::span(text.data(), text.size())));
}

int64_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;
}

std::filesystem::path data_folder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) fail("cannot find this program's own file: {}", error.message());
  return program.parent_path().parent_path() / "share" / "easel";
}

}  // namespace easel::cli
