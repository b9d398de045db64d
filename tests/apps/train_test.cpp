// easel-train as a person runs it, on tiny networks.
#include <algorithm>
#include <fstream>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/support/process.h"
#include "tests/support/tiny_training.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessOptions;
using test::ProcessResult;
using test::TempDir;

const std::string kProgram = std::string(EASEL_BINARY_DIR) + "/bin/easel-train";

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

class TrainProgram : public ::testing::Test {
 protected:
  TrainProgram() {
    test::write_pictures(dir_ / "data/train", 6);
    test::write_pictures(dir_ / "data/validation", 2);
    dir_.write("clip.yaml", test::contrastive_yaml(dir_ / "data"));
    dir_.write("ae.yaml", test::autoencoder_yaml(dir_ / "data"));
  }
  ProcessResult run(std::vector<std::string> arguments, ProcessOptions options = {}) {
    options.folder = dir_.path();
    return test::run_process(kProgram, arguments, options);
  }
  // On a CPU, with one thread.
  ProcessResult train(std::vector<std::string> arguments, ProcessOptions options = {}) {
    arguments.insert(arguments.end(), {"--device", "cpu", "--threads", "1"});
    return run(std::move(arguments), std::move(options));
  }
  // The folder of the run whose name is `name`.
  fs::path folder(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(dir_ / "logs")) {
      if (entry.path().string().ends_with("_" + name)) return entry.path();
    }
    throw std::runtime_error("no run " + name);
  }

  TempDir dir_;
};

TEST_F(TrainProgram, TellsAboutItself) {
  const ProcessResult help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const std::string part :
       {"Usage: easel-train", "--base", "--resume", "--scale_lr", "[23]"}) {
    expect_in(help.out, part);
  }
  expect_in(run({"--version"}).out, "easel-train 0.");
}

TEST_F(TrainProgram, RefusesWhatItCannotMean) {
  const auto refused = [&](const std::vector<std::string>& arguments, int code,
                           const std::string& part) {
    const ProcessResult result = train(arguments);
    EXPECT_EQ(result.code, code) << part;
    expect_in(result.err, part);
  };
  refused({"--bsae", "clip.yaml"}, 2, "did you mean '--base'");
  refused({}, 2, "--base");
  refused({"--base", "nowhere.yaml"}, 1, "nowhere.yaml");
  refused({"--resume", "logs/nowhere"}, 2, "holds no training run");
  refused({"--base", "clip.yaml", "--format", "npz"}, 2, "safetensors");
  refused({"--base", "clip.yaml", "lightning.trainer.max_step=3"}, 2, "did you mean 'max_steps'");
  refused({"--base", "clip.yaml", "=3"}, 2, "is no override");
  refused({"--base", "clip.yaml", "lightning.trainer.precision=16"}, 2, "precision 16");
  refused({"--base", "clip.yaml", "data.params.train.params.data_root=empty"}, 1, "empty");
  refused({"--base", "clip.yaml", "--seed", "-1"}, 2, "run.seed");
  EXPECT_FALSE(fs::exists(dir_ / "logs"));
}

TEST_F(TrainProgram, LaysOutItsFolder) {
  const ProcessResult result = train({"--base", "ae.yaml", "--name", "first", "--format", "ckpt"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  const fs::path run = folder("first");
  for (const std::string name :
       {"configs/project.yaml", "checkpoints/last.ckpt", "checkpoints/best.ckpt",
        "checkpoints/last.state", "metrics.jsonl"}) {
    EXPECT_TRUE(fs::exists(run / name)) << name;
  }
  const auto lines = test::metric_lines(run);
  ASSERT_EQ(lines.size(), 6u);  // four steps, two validations
  EXPECT_TRUE(lines[0].contains("train/rec_loss") && lines[0].contains("lr"));
  EXPECT_TRUE(lines[2].contains("val/rec_loss"));
  expect_in(result.err, "done after step 4");
  // The config's own name where there is no other; several configs, the later on top.
  dir_.write("short.yaml", "lightning: {trainer: {max_steps: 1}}\n");
  ASSERT_EQ(train({"--base", "clip.yaml", "short.yaml"}).code, 0);
  EXPECT_EQ(test::metric_lines(folder("clip")).size(), 1u);
}

TEST_F(TrainProgram, InterruptedSavesAndResumesExactly) {
  const std::vector<std::string> arguments = {"--base",
                                              "clip.yaml",
                                              "--seed",
                                              "5",
                                              "--scale_lr=false",
                                              "lightning.trainer.max_steps=400",
                                              "lightning.trainer.val_check_interval=100",
                                              "lightning.trainer.log_every_n_steps=7",
                                              "--progress",
                                              "lines"};
  auto with_name = [&](const std::string& name) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--name", name});
    return all;
  };
  ASSERT_EQ(train(with_name("whole")).code, 0);
  ProcessOptions options;
  bool sent = false;
  options.on_error_text = [&](pid_t pid, const std::string& text) {
    if (sent || text.find("val/") == std::string::npos) return;
    sent = true;
    ::kill(pid, SIGINT);
  };
  const ProcessResult stopped = train(with_name("parts"), options);
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  expect_in(stopped.err, "stopped after step");
  const ProcessResult rest = train({"--resume", folder("parts").string()});
  ASSERT_EQ(rest.code, 0) << rest.err;
  expect_in(rest.err, "going on after step");
  test::expect_same_run(folder("parts"), folder("whole"));
  expect_in(train({"--resume", folder("parts").string()}).err, "is finished");
}

TEST_F(TrainProgram, FullDiskIsAnError) {
  ASSERT_EQ(train({"--base", "clip.yaml", "--name", "run"}).code, 0);
  const fs::path state = folder("run") / "checkpoints/last.state";
  const std::string before = test::file_bytes(state);
  ProcessOptions small_disk;
  small_disk.max_file_bytes = before.size() / 2;
  const ProcessResult full =
      train({"--resume", folder("run").string(), "lightning.trainer.max_steps=8"}, small_disk);
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_EQ(test::file_bytes(state), before);
  EXPECT_EQ(train({"--resume", folder("run").string(), "lightning.trainer.max_steps=8"}).code, 0);
}

int free_port() {
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

// One process with batches of four, and two with batches of two.
class SeveralProcesses : public TrainProgram {
 protected:
  static constexpr double kPart = 1e-6;

  std::vector<std::string> arguments(const std::string& config, const std::string& name,
                                     int batch_size) const {
    return {"--base",
            config,
            "--name",
            name,
            "--device",
            "cpu",
            "--threads",
            "1",
            "lightning.trainer.max_steps=3",
            fmt::format("data.params.batch_size={}", batch_size)};
  }
  void run_two(const std::vector<std::string>& given) {
    const int port = free_port();
    ProcessResult results[2];
    std::vector<std::thread> threads;
    for (int rank = 0; rank < 2; ++rank) {
      threads.emplace_back([&, rank] {
        std::vector<std::string> all = {
            fmt::format("RANK={}", rank),        "WORLD_SIZE=2",
            fmt::format("LOCAL_RANK={}", rank),  "MASTER_ADDR=127.0.0.1",
            fmt::format("MASTER_PORT={}", port), kProgram};
        all.insert(all.end(), given.begin(), given.end());
        ProcessOptions options;
        options.folder = dir_.path();
        results[rank] = test::run_process("/usr/bin/env", all, options);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const ProcessResult& result : results) EXPECT_EQ(result.code, 0) << result.err;
  }
  void expect_equal_states(const std::string& got, const std::string& want) {
    const TensorFile a = read_safetensors(folder(got) / "checkpoints/last.state");
    const TensorFile b = read_safetensors(folder(want) / "checkpoints/last.state");
    double largest = 0;  // of all gradients' means: some are rounding alone
    for (const auto& [name, tensor] : b.tensors) {
      if (!name.starts_with("optimizer.0.exp_avg.")) continue;
      largest = std::max(largest, tensor.abs().max().item<double>());
    }
    ASSERT_GT(largest, 0);
    for (const auto& [name, tensor] : b.tensors) {
      ASSERT_TRUE(a.tensors.contains(name)) << name;
      const double difference = (a.tensors.at(name) - tensor).abs().max().item<double>();
      if (name.starts_with("optimizer.0.exp_avg.")) {
        EXPECT_LE(difference, kPart * largest) << name;
      } else if (!name.starts_with("metric.") && !name.starts_with("optimizer.")) {
        EXPECT_LE(difference, kPart) << name;  // of weights about 1
      }
    }
  }
};

TEST_F(SeveralProcesses, TrainAsOneWithTheSameGlobalBatch) {
  run({"--base", "ae.yaml", "--name", "fresh", "--device", "cpu", "lightning.trainer.max_steps=0"});
  dir_.write("sd.yaml",
             test::diffusion_yaml(dir_ / "data", folder("fresh") / "checkpoints/last.safetensors"));
  // Without dropout, whose numbers differ by process, and the scale of the first batch. With an
  // eps above the gradients Adam's steps are as long as these; otherwise rounding decides the
  // direction of steps at gradients of nearly zero.
  const std::vector<std::string> same = {
      "model.params.unet_config.params.dropout=0", "model.params.optimizer={eps: 1.0}",
      "model.base_learning_rate=0.1", "model.params.scale_by_std=false",
      "model.params.scale_factor=0.5"};
  auto all = arguments("sd.yaml", "one", 4);
  all.insert(all.end(), same.begin(), same.end());
  ASSERT_EQ(run(all).code, 0);
  all = arguments("sd.yaml", "two", 2);
  all.insert(all.end(), same.begin(), same.end());
  run_two(all);
  expect_equal_states("two", "one");
  // They have moved by far more than that.
  const std::string name = "parameter.unet.conv_out.weight";
  const auto weight = [&](const std::string& run) {
    return read_safetensors(folder(run) / "checkpoints/last.state").tensors.at(name);
  };
  EXPECT_GT(weight("one").abs().max().item<double>(), 1e-3);  // 0 at first
}

TEST_F(SeveralProcesses, StartUnderTorchrun) {
  const std::string python = EASEL_SOURCE_DIR "/.venv-reference/bin/python";
  if (!fs::exists(python)) GTEST_SKIP() << "no " << python << " (scripts/setup --reference)";
  std::vector<std::string> all = {"-m",
                                  "torch.distributed.run",
                                  "--no-python",
                                  "--nproc_per_node=2",
                                  "--rdzv_backend=c10d",
                                  fmt::format("--rdzv_endpoint=127.0.0.1:{}", free_port()),
                                  kProgram};
  const auto given = arguments("clip.yaml", "run", 3);
  all.insert(all.end(), given.begin(), given.end());
  ProcessOptions options;
  options.folder = dir_.path();
  const ProcessResult result = test::run_process(python, all, options);
  ASSERT_EQ(result.code, 0) << result.err;
  expect_in(result.err, "batches of 2 x 3 x 1");
  EXPECT_EQ(test::metric_lines(folder("run")).size(), 4u);
}

TEST_F(SeveralProcesses, EndTogetherWhenOneFails) {
  // The first process is killed, as the system does when memory is short.
  const int port = free_port();
  ProcessResult results[2];
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      std::vector<std::string> all = {fmt::format("RANK={}", rank), "WORLD_SIZE=2",
                                      fmt::format("MASTER_PORT={}", port), kProgram};
      const auto given = arguments("clip.yaml", "run", 3);
      all.insert(all.end(), given.begin(), given.end());
      all.push_back("lightning.trainer.max_steps=100000");
      ProcessOptions options;
      options.folder = dir_.path();
      if (rank == 0) {
        options.on_error_text = [](pid_t pid, const std::string& text) {
          if (text.find("val/") != std::string::npos) ::kill(pid, SIGKILL);
        };
      }
      results[rank] = test::run_process("/usr/bin/env", all, options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(results[0].code, 128 + SIGKILL);
  EXPECT_EQ(results[1].code, 1) << results[1].err;
  expect_in(results[1].err, "another process of this run has ended");
}

}  // namespace
}  // namespace easel
