#include "easel/train/latent_cache.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>
#include <easel/train/data_loader.h>

#include "../checkpoint/sha256.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFingerprint = "easel.latent_cache";

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

// What the cached numbers depend on.
std::string fingerprint(const Dataset& dataset, const Autoencoder& autoencoder,
                        const std::string& key) {
  std::string text = fmt::format("{}\n{}", key, dataset.size);
  for (int64_t i = 0; i < dataset.size; ++i) text += "\n" + dataset.name(i);
  for (const auto& parameter : nn::named_parameters(autoencoder)) {
    const Tensor value = parameter.tensor->detach().cpu().contiguous();
    text += "\n" + parameter.name + " " + sha256_hex(bytes_of(value));
  }
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

TensorFile read_cache(const fs::path& path) {
  try {
    return read_safetensors(path);
  } catch (const Error& error) {
    fail("{}; delete this cache of latents to have it made anew", error.what());
  }
}

}  // namespace

Posterior LatentCache::at(const std::vector<int64_t>& indices) const {
  const Tensor rows = moments_.index_select(0, at::tensor(indices, at::kLong)).to(at::kFloat);
  const std::vector<Tensor> halves = rows.chunk(2, 1);
  return {.mean_BCHW = halves[0], .logvar_BCHW = halves[1]};
}

LatentCache make_latent_cache(const Dataset& dataset, const Autoencoder& autoencoder,
                              const LatentCacheOptions& options) {
  const at::NoGradGuard no_grad;
  const std::string wanted = fingerprint(dataset, autoencoder, options.key);
  LatentCache cache;
  if (fs::exists(options.path)) {
    const TensorFile file = read_cache(options.path);
    const auto found = file.metadata.find(std::string(kFingerprint));
    if (found == file.metadata.end()) {
      fail(
          "{} is no cache of latents; data.params.cache_latents must name one, or a file that is "
          "not there",
          options.path.string());
    }
    if (found->second == wanted) {
      const auto moments = file.tensors.find("moments");
      const auto bad_entry = file.tensors.find("bad");
      if (moments == file.tensors.end() || bad_entry == file.tensors.end() ||
          moments->second.dim() != 4 || moments->second.size(0) != dataset.size) {
        fail("{} is damaged; delete it to have it made anew", options.path.string());
      }
      cache.moments_ = moments->second;
      const Tensor bad = bad_entry->second.to(at::kLong).contiguous();
      cache.bad_.assign(bad.data_ptr<int64_t>(), bad.data_ptr<int64_t>() + bad.numel());
      say(options.log, LogLevel::Info,
          fmt::format("{} latents from {}", cache.size(), options.path.string()));
      return cache;
    }
    say(options.log, LogLevel::Info,
        fmt::format("{} belongs to other pictures or another autoencoder: making it anew",
                    options.path.string()));
  }

  // Before the work, not after it.
  std::error_code error;
  if (options.path.has_parent_path()) fs::create_directories(options.path.parent_path(), error);
  if (error) {
    fail("cannot make the folder {}: {}", options.path.parent_path().string(), error.message());
  }
  std::vector<bool> seen(static_cast<size_t>(dataset.size), false);
  int64_t done = 0;
  for_each_batch(
      dataset, {.batch_size = options.batch_size, .num_workers = options.num_workers},
      [&](Batch&& batch) {
        const Posterior posterior = autoencoder.encode(batch.pictures_BCHW.to(options.device));
        const Tensor moments =
            at::cat({posterior.mean_BCHW, posterior.logvar_BCHW}, 1).to(at::kHalf).cpu();
        if (!cache.moments_.defined()) {
          std::vector<int64_t> shape = moments.sizes().vec();
          shape[0] = dataset.size;
          cache.moments_ = at::zeros(shape, at::kHalf);
        }
        if (moments.sizes().slice(1) != cache.moments_.sizes().slice(1)) {
          fail(
              "pictures of different sizes cannot share a cache of latents: {} and {}; give the "
              "dataset a size",
              shape_text(moments.sizes().slice(1)), shape_text(cache.moments_.sizes().slice(1)));
        }
        cache.moments_.index_copy_(0, at::tensor(batch.indices, at::kLong), moments.contiguous());
        for (const int64_t index : batch.indices) seen[static_cast<size_t>(index)] = true;
        done += batch.size();
        if (options.progress) options.progress(done, dataset.size);
        return true;
      },
      options.log);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i]) cache.bad_.push_back(static_cast<int64_t>(i));
  }
  write_safetensors(options.path,
                    {{"moments", cache.moments_}, {"bad", at::tensor(cache.bad_, at::kLong)}},
                    {{std::string(kFingerprint), wanted}}, IfExists::Replace);
  return cache;
}

}  // namespace easel
