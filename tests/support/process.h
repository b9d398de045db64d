// Running a program as a shell would, with what it prints caught.
#pragma once

#include <csignal>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace easel::test {

struct ProcessResult {
  int code = -1;  // exit code; 128 + n where signal n ended it
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::filesystem::path folder;           // current folder; empty: this one
  std::string input;                      // the standard input
  rlim_t max_file_bytes = RLIM_INFINITY;  // writes beyond fail with EFBIG, as on a full disk
  // Called with the process and its standard error so far whenever that grows.
  std::function<void(pid_t, const std::string&)> on_error_text;
};

inline ProcessResult run_process(const std::string& program,
                                 const std::vector<std::string>& arguments,
                                 const ProcessOptions& options = {}) {
  int out[2];
  int err[2];
  int in[2];
  if (::pipe2(out, O_CLOEXEC) || ::pipe2(err, O_CLOEXEC) || ::pipe2(in, O_CLOEXEC)) {
    throw std::runtime_error("pipe failed");
  }
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
    if (options.max_file_bytes != RLIM_INFINITY) {
      ::signal(SIGXFSZ, SIG_IGN);
      const struct rlimit limit = {options.max_file_bytes, options.max_file_bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  if (!options.input.empty() && ::write(in[1], options.input.data(), options.input.size()) < 0) {
    throw std::runtime_error("write failed");
  }
  ::close(in[1]);
  ProcessResult result;
  struct pollfd ends[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    ::poll(ends, 2, -1);
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char buffer[1 << 16];
      const ssize_t got = ::read(ends[i].fd, buffer, sizeof buffer);
      if (got <= 0) {
        ::close(ends[i].fd);
        ends[i].fd = -1;
        continue;
      }
      (i == 0 ? result.out : result.err).append(buffer, static_cast<size_t>(got));
      if (i == 1 && options.on_error_text) options.on_error_text(pid, result.err);
    }
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace easel::test
