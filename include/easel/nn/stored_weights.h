// Networks whose weights stay where they are stored: on the CPU, in the file's type, in a mapping.
// Each layer brings its own to the network's device and type for as long as it works.
//
// It is a property of the calling thread, not of the module, as circular padding is
// (nn/circular_padding.h).
#pragma once

#include <optional>

#include <ATen/core/TensorBody.h>

#include <easel/base/tensor.h>

namespace easel::nn {

struct WeightPlace {
  at::Device device;
  at::ScalarType dtype;
};

// While the object lives, layers on this thread use copies of their weights there, and weights of a
// mapped file take no memory behind their use; with nullopt weights are used as they are. They
// nest: what was before comes back.
class StoredWeights {
 public:
  explicit StoredWeights(std::optional<WeightPlace> place);
  ~StoredWeights();
  StoredWeights(const StoredWeights&) = delete;
  StoredWeights& operator=(const StoredWeights&) = delete;

  // The layers' part: `values`, made of stored weights, where they are to be used.
  static Tensor placed(const Tensor& values);

 private:
  std::optional<WeightPlace> before_;
};

// A weight for the length of an expression: forward(x) is `ops::f(x, InUse(weight))`.
class InUse {
 public:
  explicit InUse(const Tensor& weight);
  ~InUse();
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

  operator const Tensor&() const { return usable_; }

 private:
  Tensor stored_;  // undefined where nothing is to be let go of
  Tensor usable_;
};

}  // namespace easel::nn
