// The patch discriminator of pix2pix (Isola et al. 2017, arXiv 1611.07004), as taming-transformers'
// NLayerDiscriminator has it: it judges every patch of a picture real or made.
//
// Parameters and buffers carry the names of that class: main.I.weight, main.I.running_mean ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/buffer.h>
#include <easel/nn/layers.h>
#include <easel/nn/module.h>

namespace easel {

struct PatchDiscriminatorConfig {
  int64_t input_nc = 3;      // channels of the pictures
  int64_t ndf = 64;          // channels after the first layer; they double up to 8 times this
  int64_t n_layers = 3;      // layers that halve the size, 1 to 16
  bool use_actnorm = false;  // ActNorm in place of batch norm
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const PatchDiscriminatorConfig& config);

// Batch normalisation (Ioffe and Szegedy 2015) with torch.nn.BatchNorm2d's defaults.
struct BatchNorm2d {
  Tensor weight, bias;             // [C]
  nn::Buffer running_mean;         // [C]
  nn::Buffer running_var;          // [C]
  nn::Buffer num_batches_tracked;  // scalar, int64
  static constexpr double kMomentum = 0.1;
  static constexpr double kEps = 1e-5;

  explicit BatchNorm2d(int64_t channels);
  Tensor forward(const Tensor& x_BCHW) const;     // by the running statistics
  Tensor forward_training(const Tensor& x_BCHW);  // by the batch's, which the running ones follow

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("running_mean", self.running_mean);
    visit("running_var", self.running_var);
    visit("num_batches_tracked", self.num_batches_tracked);
  }
};

// scale * (x + loc), each channel; the first training batch sets both so that it comes out with
// mean 0 and deviation 1 (Kingma and Dhariwal 2018, arXiv 1807.03039).
struct ActNorm {
  Tensor loc, scale;       // [1, C, 1, 1]
  nn::Buffer initialized;  // scalar, uint8

  explicit ActNorm(int64_t channels);
  Tensor forward(const Tensor& x_BCHW) const;
  Tensor forward_training(const Tensor& x_BCHW);

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("loc", self.loc);
    visit("scale", self.scale);
    visit("initialized", self.initialized);
  }
};

// Const use from several threads is safe; forward_training writes to the buffers.
class PatchDiscriminator {
 public:
  explicit PatchDiscriminator(const PatchDiscriminatorConfig& config);

  // Pictures [B, input_nc, H, W] to logits [B, 1, H', W'], H' = H / 2^n_layers - 2 (halves rounded
  // down). Throws Error where that is less than 1.
  Tensor forward(const Tensor& x_BCHW) const;
  // The same with the batch's own statistics, updating the buffers.
  Tensor forward_training(const Tensor& x_BCHW);

  const PatchDiscriminatorConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    // The names count the activations in between.
    int64_t index = 0;
    const auto name = [&] { return "main." + std::to_string(index); };
    for (auto& layer : self.layers_) {
      visit(name(), layer.conv);
      ++index;
      if (layer.norm) {
        visit(name(), layer.norm);
        ++index;
      }
      ++index;
    }
  }

 private:
  struct Layer {
    nn::Conv2d conv;
    std::optional<std::variant<BatchNorm2d, ActNorm>> norm;
  };

  void check_input(const Tensor& x_BCHW) const;

  PatchDiscriminatorConfig config_;
  std::vector<Layer> layers_;
};

// Gives parameters and buffers memory (float32, on the CPU) and taming's first values: weights of
// convolutions normal(0, 0.02) and their biases PyTorch's, batch norms' weights normal(1, 0.02).
void initialize(PatchDiscriminator& discriminator, uint64_t seed);

}  // namespace easel
