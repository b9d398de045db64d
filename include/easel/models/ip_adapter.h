// An IP-Adapter (Ye et al. 2023, arXiv 2308.06721): makes a few tokens of what CLIP sees in a
// picture, with keys and values of their own for every attention of the UNet to its context.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/models/unet.h>
#include <easel/nn/layers.h>

namespace easel {

struct IpAdapterConfig {
  int64_t num_tokens = 4;
  int64_t embedding_dim = 1024;  // of what it takes of CLIP: the plain kind the picture's
                                 // embedding, the Plus kind the features of its patches
  int64_t context_dim = 768;
  // Of the Plus kind's resampler; a width of 0: the plain kind, which has none.
  int64_t width = 0;
  int64_t heads = 12;
  int64_t head_channels = 64;
  int64_t depth = 4;
  int64_t inner = 3072;  // features within its feed-forward layers
};

class IpAdapter {
 public:
  // For a UNet whose attentions to the context have these widths, in the order of
  // cross_attentions().
  IpAdapter(const IpAdapterConfig& config, const std::vector<int64_t>& widths);

  // [B, embedding_dim], of the Plus kind [B, S, embedding_dim], to [B, num_tokens, context_dim]:
  // the tokens that stand behind the text's.
  Tensor tokens(const Tensor& seen) const;

  // Gives the UNet's attentions their part, behind those that they have.
  void attach_to(UNet& unet, double scale) const;

  bool is_plus() const { return config_.width > 0; }
  const IpAdapterConfig& config() const { return config_; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("image_proj", self.projection_);
    visit("image_proj", self.resampler_);
    visit("ip_adapter", self.attentions_);
  }

 private:
  struct Projection {
    nn::Linear proj;
    nn::LayerNorm norm;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("proj", self.proj);
      visit("norm", self.norm);
    }
  };

  // Learnt queries look at the patches and at themselves, layer by layer (a perceiver).
  struct ResamplerLayer {
    nn::LayerNorm norm1, norm2;  // of the patches, of the queries
    nn::Linear to_q, to_kv, to_out;
    nn::LayerNorm ff_norm;
    nn::Linear ff_in, ff_out;

    explicit ResamplerLayer(const IpAdapterConfig& config);
    Tensor forward(const Tensor& patches_BSD, const Tensor& queries_BQD, int64_t heads) const;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("0.norm1", self.norm1);
      visit("0.norm2", self.norm2);
      visit("0.to_q", self.to_q);
      visit("0.to_kv", self.to_kv);
      visit("0.to_out", self.to_out);
      visit("1.0", self.ff_norm);
      visit("1.1", self.ff_in);
      visit("1.3", self.ff_out);
    }
  };
  struct Resampler {
    Tensor latents_1QD;
    nn::Linear proj_in;
    std::vector<ResamplerLayer> layers;
    nn::Linear proj_out;
    nn::LayerNorm norm_out;

    explicit Resampler(const IpAdapterConfig& config);

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("latents", self.latents_1QD);
      visit("proj_in", self.proj_in);
      visit("layers", self.layers);
      visit("proj_out", self.proj_out);
      visit("norm_out", self.norm_out);
    }
  };

  struct KeysAndValues {
    nn::Linear to_k_ip, to_v_ip;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("to_k_ip", self.to_k_ip);
      visit("to_v_ip", self.to_v_ip);
    }
  };

  IpAdapterConfig config_;
  std::optional<Projection> projection_;
  std::optional<Resampler> resampler_;
  std::vector<KeysAndValues> attentions_;
};

// The UNet's attentions to its context as IP-Adapters count them: those of the down blocks, the up
// blocks, the middle.
std::vector<nn::Attention*> cross_attentions(UNet& unet);

}  // namespace easel
