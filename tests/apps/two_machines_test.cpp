// Training on two machines: network namespaces with a cable between them, where the system lets one
// make them, else two processes on this machine.
#include <array>
#include <chrono>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/support/process.h"
#include "tests/support/tiny_training.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessOptions;
using test::ProcessResult;
using test::TempDir;

// A process that does nothing but keep its namespaces, until this goes.
class Machine {
 public:
  // Beside `other` in its user namespace, or in a new one.
  explicit Machine(const Machine* other) {
    std::vector<std::string> words;
    if (other != nullptr) words = other->enter("--user");
    words.insert(words.end(), {"unshare", "--net"});
    if (other == nullptr) words.insert(words.end(), {"--user", "--map-root-user"});
    words.insert(words.end(), {"sleep", "600"});
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::freopen("/dev/null", "w", stderr) != nullptr) ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~Machine() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Whether it came to that.
  bool is_there() {
    for (int i = 0; i < 100; ++i) {
      std::string name;
      std::ifstream("/proc/" + pid() + "/comm") >> name;
      if (name == "sleep") return true;
      if (pid_ <= 0 || ::waitpid(pid_, nullptr, WNOHANG) != 0) {
        pid_ = -1;
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  std::string pid() const { return std::to_string(pid_); }
  // What runs a command there.
  std::vector<std::string> enter(const std::string& what = "") const {
    std::vector<std::string> words = {"nsenter", "--preserve-credentials", "--target", pid()};
    if (!what.empty()) return words.push_back(what), words;
    words.insert(words.end(), {"--user", "--net"});
    return words;
  }
  bool ip(const std::string& arguments) const {
    std::vector<std::string> words = enter();
    words.insert(words.end(), {"sh", "-c", "ip " + arguments});
    return test::run_process("/usr/bin/env", words).code == 0;
  }

 private:
  pid_t pid_ = -1;
};

class TwoMachines : public ::testing::Test {
 protected:
  TwoMachines() {
    test::write_pictures(dir_ / "data/train", 8);
    test::write_pictures(dir_ / "data/validation", 2);
    dir_.write("ae.yaml", test::autoencoder_yaml(dir_ / "data"));
    first_.emplace(nullptr);
    if (first_->is_there()) {
      second_.emplace(&*first_);
      apart_ = second_->is_there() && first_->ip("link set lo up") &&
               second_->ip("link set lo up") &&
               first_->ip("link add east type veth peer name west") &&
               first_->ip("link set west netns " + second_->pid()) &&
               first_->ip("address add 10.77.0.1/24 dev east") && first_->ip("link set east up") &&
               second_->ip("address add 10.77.0.2/24 dev west") && second_->ip("link set west up");
    }
    std::fprintf(stderr, "%s\n",
                 apart_ ? "two network namespaces" : "no network namespaces: two processes");
  }
  // Both processes, each on its machine.
  std::array<ProcessResult, 2> train(const std::vector<std::string>& arguments) {
    std::array<ProcessResult, 2> results;
    const std::string port = apart_ ? "29500" : std::to_string(free_port());
    std::vector<std::thread> threads;
    for (const int rank : {0, 1}) {
      threads.emplace_back([&, rank] {
        std::vector<std::string> words;
        if (apart_) words = (rank == 0 ? first_ : second_)->enter();
        words.insert(words.end(),
                     {"env", "RANK=" + std::to_string(rank), "WORLD_SIZE=2",
                      std::string("MASTER_ADDR=") + (apart_ ? "10.77.0.1" : "127.0.0.1"),
                      "MASTER_PORT=" + port, std::string(EASEL_BINARY_DIR) + "/bin/easel-train",
                      "--device", "cpu", "--threads", "1", "--progress", "lines"});
        words.insert(words.end(), arguments.begin(), arguments.end());
        ProcessOptions options;
        options.folder = dir_.path();
        options.on_error_text = [&, rank](pid_t pid, const std::string& text) {
          if (rank == 0 && on_first_text_) on_first_text_(pid, text);
        };
        results[static_cast<size_t>(rank)] = test::run_process("/usr/bin/env", words, options);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return results;
  }
  fs::path folder(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(dir_ / "logs")) {
      if (entry.path().string().ends_with("_" + name)) return entry.path();
    }
    throw std::runtime_error("no run " + name);
  }
  static int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd, reinterpret_cast<struct sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd, reinterpret_cast<struct sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no free port");
    }
    ::close(fd);
    return ntohs(address.sin_port);
  }

  TempDir dir_;
  std::optional<Machine> first_, second_;
  bool apart_ = false;
  std::function<void(pid_t, const std::string&)> on_first_text_;  // what the first process says
};

TEST_F(TwoMachines, GoOnFromTheCheckpointWhenOneIsLost) {
  const auto arguments = [](const std::string& name) {
    return std::vector<std::string>{"--base",
                                    "ae.yaml",
                                    "--name",
                                    name,
                                    "lightning.trainer.max_steps=180",
                                    "lightning.trainer.val_check_interval=30"};
  };
  for (const ProcessResult& result : train(arguments("whole"))) {
    ASSERT_EQ(result.code, 0) << result.err;
  }
  // The first one, which saves, is lost at its third validation, with two checkpoints behind it.
  on_first_text_ = [](pid_t pid, const std::string& text) {
    size_t validations = 0;
    for (size_t at = 0; (at = text.find("val/", at)) != text.npos; at = text.find('\n', at)) {
      ++validations;
    }
    if (validations >= 3) ::kill(pid, SIGKILL);
  };
  const auto broken = train(arguments("parts"));
  EXPECT_EQ(broken[0].code, 128 + SIGKILL) << broken[0].err;
  EXPECT_EQ(broken[1].code, 1) << broken[1].err;  // it does not wait for ever
  EXPECT_NE(broken[1].err.find("another process of this run has ended"), std::string::npos)
      << broken[1].err;
  ASSERT_TRUE(fs::exists(folder("parts") / "checkpoints/last.state"));

  on_first_text_ = nullptr;
  const auto rest = train({"--resume", folder("parts").string()});
  for (const ProcessResult& result : rest) ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(rest[0].err.find("going on after step"), std::string::npos) << rest[0].err;
  test::expect_same_run(folder("parts"), folder("whole"));
}

}  // namespace
}  // namespace easel
