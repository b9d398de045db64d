// Turning the hand-written operators off, for tests and benchmarks: LibTorch's own are the oracle.
#pragma once

namespace easel::ops {

// On this thread, while the object lives, every operator takes its ATen path. They nest.
class AtenOnly {
 public:
  AtenOnly();
  ~AtenOnly();
  AtenOnly(const AtenOnly&) = delete;
  AtenOnly& operator=(const AtenOnly&) = delete;

  static bool is_enabled();

 private:
  bool before_;
};

}  // namespace easel::ops
