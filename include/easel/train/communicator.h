// Data-parallel training with one process per device, through LibTorch's c10d: Gloo between CPUs,
// NCCL between GPUs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

// This process among the others, as torchrun and srun number them.
struct ProcessRank {
  int64_t rank = 0;
  int64_t world = 1;
  std::string master_address = "127.0.0.1";
  int64_t master_port = 29500;
  bool store_is_served = false;  // the launcher serves the store (torchrun); else rank 0 does
};

class Communicator {
 public:
  // Meets the other processes; waits for them for at most `timeout_seconds`. Throws Error. A world
  // of one needs nobody.
  Communicator(const ProcessRank& place, at::Device device, int64_t timeout_seconds = 600);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int64_t rank() const { return place_.rank; }
  int64_t world() const { return place_.world; }

  // Every tensor becomes its mean over all processes. They must be of equal shapes everywhere.
  void average(const std::vector<Tensor>& tensors);
  // Every tensor becomes rank 0's.
  void broadcast(const std::vector<Tensor>& tensors);
  // True everywhere if it is anywhere.
  bool any(bool value);
  void barrier();

 private:
  struct Backend;
  ProcessRank place_;
  at::Device device_;
  std::unique_ptr<Backend> backend_;  // none in a world of one
};

}  // namespace easel
