// TAESD (Bohan 2023), a tiny autoencoder that stands in for the large one: of scaled latents, near
// to its pictures, in a hundredth of the time.
//
// Parameters carry the names of diffusers' AutoencoderTiny: {encoder,decoder}.layers.I, a
// convolution, or a block's conv.{0,2,4}.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>

namespace easel {

struct TinyAutoencoderConfig {
  int64_t channels = 64;
  int64_t latent_channels = 4;
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const TinyAutoencoderConfig& config);

// Three convolutions with relu between and behind, around a residual.
struct TinyBlock {
  nn::Conv2d conv_0, conv_2, conv_4;

  explicit TinyBlock(int64_t channels);
  Tensor forward(const Tensor& x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv.0", self.conv_0);
    visit("conv.2", self.conv_2);
    visit("conv.4", self.conv_4);
  }
};

// A layer without parameters.
struct TinyStep {
  enum class Kind { Relu, Double } kind;  // Double: nearest-neighbour, to twice the size

  template <class Self, class Visit>
  static void members(Self&, Visit&&) {}
};

using TinyLayer = std::variant<nn::Conv2d, TinyBlock, TinyStep>;

class TinyEncoder {
 public:
  explicit TinyEncoder(const TinyAutoencoderConfig& config);
  // x_BCHW [B, 3, H, W] in [-1, 1]. Returns scaled latents [B, latent_channels, H / 8, W / 8].
  Tensor forward(const Tensor& x_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("layers", self.layers_);
  }

 private:
  std::vector<TinyLayer> layers_;
};

class TinyDecoder {
 public:
  explicit TinyDecoder(const TinyAutoencoderConfig& config);
  // z_BCHW scaled latents. Returns pictures [B, 3, 8 H, 8 W], about [-1, 1].
  Tensor forward(const Tensor& z_BCHW) const;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("layers", self.layers_);
  }

 private:
  std::vector<TinyLayer> layers_;
};

// Either half may be missing.
struct TinyAutoencoder {
  std::optional<TinyEncoder> encoder;
  std::optional<TinyDecoder> decoder;

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("encoder", self.encoder);
    visit("decoder", self.decoder);
  }
};

}  // namespace easel
