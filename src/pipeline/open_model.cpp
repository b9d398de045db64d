#include "easel/pipeline/open_model.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/version.h>

#include <easel/base/error.h>
#include <easel/checkpoint/embeddings.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/pipeline/device.h>

#include "torch_errors.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace easel {
namespace {

std::optional<at::ScalarType> find_dtype(const std::string& name) {
  if (name == "auto") return std::nullopt;
  const auto dtype = dtype_from_name(name);
  if (!dtype || (*dtype != at::kFloat && *dtype != at::kHalf && *dtype != at::kBFloat16)) {
    fail_usage("unknown dtype '{}'; it is auto, float32, float16 or bfloat16", printable(name));
  }
  return dtype;
}

LoadOptions load_options(const ModelRequest& request) {
  LoadOptions options{.config = request.config,
                      .default_config = request.default_config,
                      .vocabulary = request.vocabulary,
                      .vae = request.vae,
                      .use_ema = request.use_ema,
                      .dtype = find_dtype(request.dtype),
                      .low_memory = request.low_memory,
                      .log = request.log};
  if (request.prediction != "auto") {
    options.parameterization = parameterization_from_name(request.prediction);
  }
  return options;
}

}  // namespace

void check_device(const std::string& device, const std::string& dtype) {
  device_from_name(device);
  find_dtype(dtype);
}

std::shared_ptr<const StableDiffusion> open_model(const ModelRequest& request) {
  LoadOptions options = load_options(request);
  options.device = device_from_name(request.device);
  // Small files first: what is wrong with them is said before the model is loaded.
  const std::vector<Embedding> embeddings = read_embeddings(request.embeddings);
  return with_plain_errors(
      "the model needs more than there is; use --dtype float16 or --low-memory", [&] {
        auto model = std::make_shared<StableDiffusion>(load(request.model, options));
        add_embeddings(*model, embeddings);
        return std::shared_ptr<const StableDiffusion>(std::move(model));
      });
}

ModelUse model_use(const ModelRequest& request) {
  LoadOptions options = load_options(request);
  options.log = {};  // open_model() says it
  const ModelConfig config = find_model_config(request.model, options);
  // Stability's config of the models at 768 pixels still has the 512 that they were begun at.
  constexpr int64_t kOfV = 96;
  const bool at_768 = config.open_clip && config.parameterization == Parameterization::V;
  const int64_t side = at_768 ? std::max(config.image_size, kOfV) : config.image_size;
  return {.side = side * config.autoencoder.downsampling(),
          .few_steps = config.unet.time_cond_proj_dim.has_value()};
}

ModelSummary summarize(const StableDiffusion& model) {
  const int64_t factor = model.config.autoencoder.downsampling();
  const auto num_halvings = static_cast<int64_t>(model.config.unet.channel_mult.size()) - 1;
  return {.name = model.name,
          .device = model.device.str(),
          .dtype = dtype_name(model.dtype),
          .latent_channels = model.config.autoencoder.embed_dim,
          .downsampling = factor,
          .size_unit = factor * size_multiple(model.config.unet),
          .best_size_unit = factor << num_halvings,
          .instruct_pix2pix = is_instruct_pix2pix(model.config),
          .takes_depth = takes_depth(model.config),
          .enlarges = is_upscaler(model.config) ? factor : 1};
}

int64_t peak_device_memory(const StableDiffusion& model) {
  if (model.device.is_cpu()) return 0;
  const auto stats = c10::getDeviceAllocator(model.device.type())
                         ->getDeviceStats(model.device.has_index() ? model.device.index() : 0);
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
      .peak;
}

void set_threads(int64_t threads) {
  if (threads < 0 || threads > 4096)
    fail_usage("{} threads; it is 0 (one a core) to 4096", threads);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // blocks with a mapping of their own go back when they are freed
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

void use_exact_float32() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
}

std::string_view libtorch_version() { return TORCH_VERSION; }

}  // namespace easel
