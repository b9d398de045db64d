// Training pictures as latents, encoded once: the autoencoder is most of the work of a small run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/models/autoencoder.h>
#include <easel/train/dataset.h>

namespace easel {

struct LatentCacheOptions {
  std::filesystem::path path;  // .safetensors
  std::string key;             // what else than their names decides the pictures, such as the
                               // options they are loaded with
  int64_t batch_size = 16;
  int64_t num_workers = 2;
  at::Device device = at::kCPU;                                  // the autoencoder's
  std::function<void(int64_t done, int64_t all)> progress = {};  // may throw to cancel
  Log log = {};
};

// Means and log-variances of a dataset's pictures in float16, by index. Immutable.
class LatentCache {
 public:
  // Posteriors of these examples, float32.
  Posterior at(const std::vector<int64_t>& indices) const;
  int64_t size() const { return moments_.size(0); }
  // Examples that could not be encoded: damaged pictures.
  const std::vector<int64_t>& bad() const { return bad_; }

 private:
  friend LatentCache make_latent_cache(const Dataset&, const Autoencoder&,
                                       const LatentCacheOptions&);
  Tensor moments_;  // [N, 2C, h, w]
  std::vector<int64_t> bad_;
};

// Reads the cache, or makes it where there is none or where it belongs to another autoencoder or
// dataset (judged by weights, the key, number and names of the examples). The dataset must give the
// same pictures for every seed. Throws Error where pictures differ in size or none can be read.
LatentCache make_latent_cache(const Dataset& dataset, const Autoencoder& autoencoder,
                              const LatentCacheOptions& options);

}  // namespace easel
