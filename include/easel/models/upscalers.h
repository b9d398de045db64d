// Networks that enlarge a picture: RRDBNet (ESRGAN, Wang et al. 2018; Real-ESRGAN, Wang et al.
// 2021) and SRVGGNetCompact (Real-ESRGAN's compact one).
//
// Pictures are [B, C, H, W] in [0, 1]. Parameters carry the names of the Real-ESRGAN project:
//
//   RrdbNet      conv_first, body.I.rdb{1,2,3}.conv{1..5}, conv_body, conv_up{1..}, conv_hr,
//                conv_last
//   CompactNet   body.N: convolutions at even N, PReLU at odd N
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>

namespace easel {

struct RrdbConfig {
  int64_t channels = 3;  // of the picture
  int64_t features = 64;
  int64_t growth = 32;      // features that each convolution of a dense block adds
  int64_t num_blocks = 23;  // 6 in the small models for drawings
  int64_t num_doublings = 2;
  int64_t unshuffle = 1;  // 2, 4: squares of so many pixels become channels first

  int64_t scale() const { return (int64_t{1} << num_doublings) / unshuffle; }
};

class RrdbNet {
 public:
  explicit RrdbNet(const RrdbConfig& config);
  Tensor forward(const Tensor& x_BCHW) const;  // [B, C, scale H, scale W]
  int64_t scale() const { return config_.scale(); }
  int64_t channels() const { return config_.channels; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("conv_first", self.conv_first_);
    visit("body", self.body_);
    visit("conv_body", self.conv_body_);
    for (size_t i = 0; i < self.conv_up_.size(); ++i) {
      visit("conv_up" + std::to_string(i + 1), self.conv_up_[i]);
    }
    visit("conv_hr", self.conv_hr_);
    visit("conv_last", self.conv_last_);
  }

 private:
  struct DenseBlock {
    std::vector<nn::Conv2d> convs;

    explicit DenseBlock(const RrdbConfig& config);
    Tensor forward(const Tensor& x_BCHW) const;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      for (size_t i = 0; i < self.convs.size(); ++i) {
        visit("conv" + std::to_string(i + 1), self.convs[i]);
      }
    }
  };
  struct Block {
    DenseBlock rdb1, rdb2, rdb3;

    explicit Block(const RrdbConfig& config);
    Tensor forward(const Tensor& x_BCHW) const;

    template <class Self, class Visit>
    static void members(Self& self, Visit&& visit) {
      visit("rdb1", self.rdb1);
      visit("rdb2", self.rdb2);
      visit("rdb3", self.rdb3);
    }
  };

  RrdbConfig config_;
  nn::Conv2d conv_first_;
  std::vector<Block> body_;
  nn::Conv2d conv_body_;
  std::vector<nn::Conv2d> conv_up_;
  nn::Conv2d conv_hr_, conv_last_;
};

struct CompactConfig {
  int64_t channels = 3;
  int64_t features = 64;
  int64_t num_convs = 16;  // between the first and the last
  int64_t scale = 4;
};

class CompactNet {
 public:
  explicit CompactNet(const CompactConfig& config);
  Tensor forward(const Tensor& x_BCHW) const;  // [B, C, scale H, scale W]
  int64_t scale() const { return config_.scale; }
  int64_t channels() const { return config_.channels; }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    for (size_t i = 0; i < self.convs_.size(); ++i) {
      visit("body." + std::to_string(2 * i), self.convs_[i]);
      if (i < self.slopes_.size()) {
        visit("body." + std::to_string(2 * i + 1) + ".weight", self.slopes_[i]);
      }
    }
  }

 private:
  CompactConfig config_;
  std::vector<nn::Conv2d> convs_;
  std::vector<Tensor> slopes_;  // of PReLU, one a channel
};

}  // namespace easel
