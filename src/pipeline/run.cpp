#include "easel/pipeline/run.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/lora.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/noise.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/img2img.h>
#include <easel/pipeline/preview.h>
#include <easel/pipeline/prompt_context.h>
#include <easel/pipeline/txt2img.h>

#include "torch_errors.h"

namespace easel {
namespace {

bool is_npy(const std::filesystem::path& path) { return path.extension() == ".npy"; }

int64_t num_pictures(const RunRequest& request) {
  int64_t num = 0;
  for (const auto& batch : request.batches) num += static_cast<int64_t>(batch.size());
  return num;
}

// The x_T of a file as [n, C, h, w], float32.
Tensor read_latents(const std::filesystem::path& path, at::IntArrayRef picture_shape_1CHW,
                    int64_t batch, int64_t total) {
  const TensorFile file = read_tensor_file(path);
  if (file.tensors.size() != 1) {
    fail("{}: holds {} tensors, where initial latents are one [C, h, w] or [n, C, h, w]",
         path.string(), file.tensors.size());
  }
  Tensor latents_NCHW = file.tensors.begin()->second;
  if (latents_NCHW.dim() == 3) latents_NCHW = latents_NCHW.unsqueeze(0);
  const auto same_picture = [&] {
    return latents_NCHW.dim() == 4 && latents_NCHW.sizes().slice(1) == picture_shape_1CHW.slice(1);
  };
  const int64_t num = latents_NCHW.dim() == 4 ? latents_NCHW.size(0) : 0;
  if (!at::isFloatingType(latents_NCHW.scalar_type()) || !same_picture() ||
      (num != 1 && num != batch && num != total)) {
    fail("{}: holds {} {}, where these pictures start from {} (or n of it, n being 1, {} or {})",
         path.string(), dtype_name(latents_NCHW.scalar_type()),
         shape_text(file.tensors.begin()->second.sizes()), shape_text(picture_shape_1CHW.slice(1)),
         batch, total);
  }
  latents_NCHW = latents_NCHW.to(at::kFloat);
  if (!at::isfinite(latents_NCHW).all().item<bool>()) {
    fail("{}: the initial latents are not all finite", path.string());
  }
  return latents_NCHW;
}

void write_latents(const RunRequest& request, const std::vector<Tensor>& latents) {
  const Tensor all_NCHW = at::cat(latents);
  const IfExists if_exists = request.overwrite ? IfExists::Replace : IfExists::Refuse;
  if (is_npy(request.save_latents))
    write_npy(request.save_latents, all_NCHW, if_exists);
  else
    write_safetensors(request.save_latents, {{"latents", all_NCHW}}, {}, if_exists);
}

// The noise of a run, batch by batch.
class RunNoise {
 public:
  RunNoise(const RunRequest& request, std::vector<int64_t> first_shape_BCHW)
      : request_(request), rng_(rng_from_name(request.rng)), shared_(rng_, request.seed) {
    if (!request.init_latents.empty()) {
      auto shape_1CHW = first_shape_BCHW;
      shape_1CHW[0] = 1;
      initial_ = read_latents(request.init_latents, shape_1CHW, first_shape_BCHW[0],
                              num_pictures(request));
    } else if (request.fixed_code) {
      NoiseSource source = make_source(0, first_shape_BCHW[0]);
      initial_ = source.draw(first_shape_BCHW);
    }
  }

  NoiseSource source(int64_t first_picture, at::IntArrayRef shape_BCHW) {
    NoiseSource source = make_source(first_picture, shape_BCHW[0]);
    // A picture's step noise is the same whether its x_T was drawn or given, and is never the x_T.
    if (initial_.defined() && request_.seeding == Seeding::Image) source.draw(shape_BCHW);
    return source;
  }

  // x_T of the pictures from number `first` on, undefined where it is to be drawn.
  Tensor initial(int64_t first, int64_t num) const {
    if (!initial_.defined()) return {};
    const int64_t rows = initial_.size(0);
    std::vector<int64_t> index;
    // A fixed code starts over with every batch, also after a shorter one.
    for (int64_t k = 0; k < num; ++k) {
      index.push_back(
          (request_.init_latents.empty() || rows != num_pictures(request_) ? k : first + k) % rows);
    }
    return initial_.index_select(0, at::tensor(index, at::kLong));
  }

  // For a run that starts from a sample of a picture's posterior. One stream for the run: drawn
  // once, in front of all, as CompVis encodes once. A stream a picture: undefined, each draws its
  // own.
  Tensor posterior(const std::vector<int64_t>& first_shape_BCHW) {
    if (request_.seeding != Seeding::Batch || request_.init->encode != Encode::Sample) return {};
    return shared_.draw(first_shape_BCHW);
  }

 private:
  NoiseSource make_source(int64_t first_picture, int64_t num) {
    if (request_.seeding == Seeding::Batch) return NoiseSource::per_batch(shared_);
    std::vector<uint64_t> seeds;
    for (int64_t k = 0; k < num; ++k) {
      seeds.push_back(request_.seed + static_cast<uint64_t>(first_picture + k));
    }
    return NoiseSource::per_image(rng_, seeds);
  }

  const RunRequest& request_;
  Rng rng_;
  NormalStream shared_;
  Tensor initial_;
};

// A batch's prompts without the adapters that they name, and those.
struct BatchPrompts {
  std::vector<std::string> prompts;
  std::vector<LoraChoice> loras;
};

BatchPrompts read_batch(const RunRequest& request, const std::vector<std::string>& prompts,
                        LoraFinder& finder) {
  BatchPrompts read;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<PromptTag> tags;
    read.prompts.push_back(take_adapter_tags(prompts[i], tags));
    std::vector<LoraChoice> loras = request.loras;
    for (const PromptTag& tag : tags) loras.push_back(finder.from_tag(tag));
    if (i > 0 && loras != read.loras) {
      fail_usage(
          "the prompts of one batch name different LoRAs ({} and {}): draw them in batches of one "
          "(--n_samples 1)",
          read.loras.empty() ? "none" : loras_text(read.loras),
          loras.empty() ? "none" : loras_text(loras));
    }
    read.loras = std::move(loras);
  }
  return read;
}

// The model as the batches want it, one after the other.
class RunModel {
 public:
  RunModel(const StableDiffusion& model, const Log& log) : model_(model), log_(log) {}

  const StableDiffusion& with(const std::vector<LoraChoice>& loras) {
    if (loras.empty()) return model_;
    if (!adapted_ || loras != loras_) {
      adapted_.reset();  // first: two sets of changed weights need not be there at once
      with_plain_errors("the changed weights need more than there is; use --dtype float16",
                        [&] { adapted_.emplace(with_loras(model_, loras, log_)); });
      loras_ = loras;
    }
    return *adapted_;
  }

 private:
  const StableDiffusion& model_;
  const Log& log_;
  std::vector<LoraChoice> loras_;
  std::optional<StableDiffusion> adapted_;
};

// Shows the estimates that the samplers report, where somebody wants to see them.
class RunPreview {
 public:
  RunPreview(const StableDiffusion& model, const RunCallbacks& callbacks)
      : model_(model), callbacks_(callbacks) {}

  void step(const StepInfo& info) {
    if (!callbacks_.on_preview || callbacks_.preview_every < 1) return;
    if (info.step % callbacks_.preview_every != 0 || info.step == info.steps) return;
    if (model_.tiny_autoencoder.decoder) {
      return callbacks_.on_preview(
          decode_tiny(*model_.tiny_autoencoder.decoder, info.denoised, PixelRounding::Nearest));
    }
    if (!preview_) preview_.emplace(model_);
    callbacks_.on_preview(preview_->pictures(info.denoised));
  }

 private:
  const StableDiffusion& model_;
  const RunCallbacks& callbacks_;
  std::optional<LatentPreview> preview_;
};

bool is_withheld(const RunRequest& request, const Image& image) {
  return request.safety_checker && safety_scores(*request.safety_checker, image).unsafe();
}

// The upscaler models of a run; the same file is opened once.
class RunUpscalers {
 public:
  RunUpscalers(const StableDiffusion& model, const RunRequest& request) : request_(request) {
    const auto open = [&](const std::filesystem::path& path) {
      return open_upscaler(path, model.device.str(), dtype_name(model.dtype));
    };
    if (!request.upscale.empty()) drawn_ = open(request.upscale);
    if (!request.hires || is_hires_upscaler(request.hires->upscaler)) return;
    hires_ = request.upscale == request.hires->upscaler ? drawn_ : open(request.hires->upscaler);
  }

  const Upscaler* hires() const { return hires_.get(); }

  Image finished(Image image) const {
    return drawn_ ? upscale(*drawn_, image, request_.upscale_tile) : std::move(image);
  }

 private:
  const RunRequest& request_;
  std::shared_ptr<const Upscaler> drawn_, hires_;
};

// What the batches of a run start from: nothing, or the picture, encoded once. And what steers
// them.
class RunStart {
 public:
  RunStart(const StableDiffusion& model, const RunRequest& request, const Upscaler* hires,
           ImageTokens image_tokens, RunNoise& noise, const std::vector<int64_t>& first_shape_BCHW,
           const Log& log)
      : request_(request), hires_(hires), image_tokens_(std::move(image_tokens)) {
    for (const ControlChoice& choice : request.controls) {
      const ControlNetwork network = load_control(model, choice.model);
      const PictureSettings& size = request.settings;
      controls_.push_back(make_control(model, network, choice, size.width, size.height));
      if (!request.hires) continue;
      const auto [width, height] = hires_size(model, size, *request.hires);
      hires_controls_.push_back(make_control(model, network, choice, width, height));
    }
    if (!request.init) return;
    posterior_noise_ = noise.posterior(first_shape_BCHW);
    canvas_ = std::make_shared<const EncodedCanvas>(
        encode_canvas(model, request.init->canvas, log, request.settings));
  }

  Txt2ImgResult draw(const StableDiffusion& model, const std::vector<std::string>& prompts,
                     Tensor initial_noise_BCHW, NoiseSource& noise,
                     const Progress& progress) const {
    if (!canvas_) {
      const Txt2ImgRequest batch{.prompts = prompts,
                                 .settings = request_.settings,
                                 .initial_noise_BCHW = std::move(initial_noise_BCHW),
                                 .hires = request_.hires,
                                 .upscaler = hires_,
                                 .upscale_tile = request_.upscale_tile,
                                 .controls = controls_,
                                 .hires_controls = hires_controls_,
                                 .image_tokens = image_tokens_};
      return txt2img(model, batch, noise, progress);
    }
    Img2ImgRequest batch{.prompts = prompts,
                         .settings = request_.settings,
                         .canvas = canvas_,
                         .strength = request_.init->strength,
                         .image_scale = request_.init->image_scale,
                         .noise_level = request_.init->noise_level,
                         .encode = request_.init->encode,
                         .posterior_noise_BCHW = {},
                         .initial_noise_BCHW = std::move(initial_noise_BCHW),
                         .controls = controls_,
                         .image_tokens = image_tokens_};
    if (posterior_noise_.defined()) {
      batch.posterior_noise_BCHW =
          posterior_noise_.narrow(0, 0, static_cast<int64_t>(prompts.size()));
    }
    return img2img(model, batch, noise, progress);
  }

 private:
  const RunRequest& request_;
  const Upscaler* hires_;
  std::shared_ptr<const EncodedCanvas> canvas_;
  Tensor posterior_noise_;
  std::vector<Control> controls_, hires_controls_;
  ImageTokens image_tokens_;
};

}  // namespace

void check(const RunRequest& request) {
  check(request.settings);
  if (request.init) check_strength(request.init->strength);
  if (request.hires) {
    check(*request.hires);
    if (request.init) fail_usage("a hires pass follows txt2img; img2img has none");
  }
  check_upscale_tile(request.upscale_tile);
  if (!request.upscale.empty() && !std::filesystem::is_regular_file(request.upscale)) {
    fail_usage("--upscale {}: there is no such file", request.upscale.string());
  }
  for (const ControlChoice& control : request.controls) check(control);
  for (const ImagePromptChoice& choice : request.image_prompts) check(choice);
  if (request.image_prompts.empty() && !request.image_encoder.empty()) {
    fail_usage("--image-encoder looks at the picture of an --ip-adapter, and there is none");
  }
  rng_from_name(request.rng);
  if (request.batches.empty()) fail_usage("there is nothing to draw: no prompts");
  std::set<std::string> prompts;
  LoraFinder finder(request.lora_folders);
  for (const auto& batch : request.batches) {
    if (batch.empty()) fail_usage("a batch has no prompts");
    for (std::string& prompt : read_batch(request, batch, finder).prompts) {
      prompts.insert(std::move(prompt));
    }
  }
  for (const std::string_view prompt : prompts) check_prompt(prompt, request.settings);
  if (request.fixed_code && !request.init_latents.empty()) {
    fail_usage(
        "--fixed_code draws one start for all, and --init-latents brings its own: choose one");
  }
  if (!request.init_latents.empty() && !std::filesystem::exists(request.init_latents)) {
    fail("{}: there is no such file", request.init_latents.string());
  }
  if (request.save_latents.empty()) return;
  if (!is_npy(request.save_latents) && request.save_latents.extension() != ".safetensors") {
    fail_usage("--save-latents {}: the name ends in .safetensors or .npy",
               request.save_latents.string());
  }
  if (!request.overwrite && std::filesystem::exists(request.save_latents)) {
    fail("{}: exists already; choose another name, or give --overwrite",
         request.save_latents.string());
  }
}

void run_pictures(const StableDiffusion& given, const RunRequest& request,
                  const RunCallbacks& callbacks) {
  check(request);
  std::optional<ImagePrompted> prompted;
  if (!request.image_prompts.empty()) {
    prompted.emplace(with_image_prompts(given, request.image_prompts, request.image_encoder));
  }
  const StableDiffusion& model = prompted ? prompted->model : given;
  const auto batch_shape = [&](const std::vector<std::string>& prompts) {
    return latent_shape(model, request.settings, static_cast<int64_t>(prompts.size()));
  };
  RunNoise noise(request, batch_shape(request.batches.front()));
  const RunUpscalers upscalers(model, request);
  const RunStart start(model, request, upscalers.hires(),
                       prompted ? prompted->tokens : ImageTokens{}, noise,
                       batch_shape(request.batches.front()), callbacks.log);
  LoraFinder finder(request.lora_folders);
  RunModel adapting(model, callbacks.log);
  RunPreview preview(model, callbacks);
  std::vector<Tensor> latents;
  int64_t number = 0;
  const auto draw_batch = [&](size_t b) {
    const std::vector<std::string>& prompts = request.batches[b];
    const Progress progress{
        .log = callbacks.log, .on_step = [&](const StepInfo& info) {
          preview.step(info);
          if (!callbacks.on_step) return;
          callbacks.on_step({.batch = static_cast<int64_t>(b) + 1,
                             .batches = static_cast<int64_t>(request.batches.size()),
                             .step = info.step,
                             .steps = info.steps});
        }};
    NoiseSource source = noise.source(number, batch_shape(prompts));
    const BatchPrompts read = read_batch(request, prompts, finder);
    Txt2ImgResult result =
        start.draw(adapting.with(read.loras), read.prompts,
                   noise.initial(number, static_cast<int64_t>(prompts.size())), source, progress);
    if (!request.save_latents.empty()) latents.push_back(result.latents_BCHW);
    for (size_t k = 0; k < prompts.size(); ++k, ++number) {
      if (!callbacks.on_picture) continue;
      const bool withheld = is_withheld(request, result.images[k]);
      Image image = upscalers.finished(std::move(result.images[k]));
      if (withheld) std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{0});
      const bool own_seed = request.seeding == Seeding::Image;
      callbacks.on_picture({.image = std::move(image),
                            .number = number,
                            .prompt = prompts[k],
                            .seed = request.seed + (own_seed ? static_cast<uint64_t>(number) : 0),
                            .withheld = withheld});
    }
  };
  const bool independent = request.seeding == Seeding::Image;
  for (size_t b = 0; b < request.batches.size(); ++b) {
    const int64_t first = number;
    const auto num = static_cast<int64_t>(request.batches[b].size());
    const bool wanted = !callbacks.wants || callbacks.wants(b, first);
    try {
      if (wanted || !independent) draw_batch(b);
    } catch (const Error& error) {
      if (!independent || !callbacks.on_error) throw;
      callbacks.on_error(first, num, error);
    }
    number = first + num;
  }
  if (!request.save_latents.empty()) write_latents(request, latents);
}

}  // namespace easel
