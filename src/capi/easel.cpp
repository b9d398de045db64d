#include "easel/capi/easel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include <dlfcn.h>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/pipeline/run.h>

#include "options.h"

struct easel_model {
  std::shared_ptr<const easel::StableDiffusion> model;
};

struct easel_pictures {
  std::vector<easel::RunPicture> list;
};

namespace easel::capi {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxPictures = 1024;

easel_status status(int code, std::string_view message) {
  easel_status result{};
  result.code = code;
  size_t size = std::min(message.size(), sizeof result.message - 1);
  // No part of a character at the end.
  while (size < message.size() && size > 0 && (message[size] & 0xC0) == 0x80) --size;
  std::memcpy(result.message, message.data(), size);
  return result;
}

// The one place where exceptions end.
template <class Work>
easel_status guarded(Work&& work) noexcept {
  try {
    std::forward<Work>(work)();
    return status(EASEL_OK, "");
  } catch (const Error& error) {
    switch (error.kind()) {
      case ErrorKind::Usage:
        return status(EASEL_USAGE, error.what());
      case ErrorKind::Interrupted:
        return status(EASEL_CANCELLED, error.what());
      case ErrorKind::Runtime:
        break;
    }
    return status(EASEL_FAILED, error.what());
  } catch (const std::bad_alloc&) {
    return status(EASEL_FAILED, "out of memory");
  } catch (const std::exception& error) {
    return status(EASEL_FAILED, error.what());
  } catch (...) {
    return status(EASEL_FAILED, "an unknown error");
  }
}

void expect(const void* pointer, std::string_view name) {
  if (pointer == nullptr) fail_usage("{} is NULL", name);
}

// share/easel of the installation that this code lies in: beside the folder of a program, or one
// or two above that of a library (lib, lib/x86_64-linux-gnu).
fs::path installed_data() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&easel_version_number), &info) == 0) return {};
  std::error_code error;
  fs::path folder = fs::canonical(info.dli_fname, error).parent_path();
  for (int i = 0; i < 2 && folder.has_relative_path(); ++i) {
    folder = folder.parent_path();
    if (fs::exists(folder / "share" / "easel", error)) return folder / "share" / "easel";
  }
  return {};
}

Log log_of(const easel_options& options) {
  if (options.on_log == nullptr) return {};
  return
      [function = options.on_log, user = options.log_user](LogLevel level, std::string_view line) {
        function(user, static_cast<int>(level), std::string(line).c_str());
      };
}

std::shared_ptr<const StableDiffusion> open(const easel_options& options) {
  const Options& values = options.values;
  if (values.model.empty()) fail_usage("option 'model' is not set: a checkpoint or a folder");
  const fs::path data = values.data.empty() ? installed_data() : values.data;
  set_threads(values.threads);
  return open_model({.model = values.model,
                     .config = values.config,
                     .default_config = data / "configs" / "stable-diffusion" / "v1-inference.yaml",
                     .vocabulary = data / "clip" / "bpe_simple_vocab_16e6.txt.gz",
                     .vae = values.vae,
                     .use_ema = values.use_ema,
                     .device = values.device,
                     .dtype = values.dtype,
                     .low_memory = values.low_memory,
                     .log = log_of(options)});
}

PictureSettings settings_of(const Options& options) {
  PictureSettings settings{.negative_prompt = options.negative_prompt,
                           .sampler = options.sampler,
                           .schedule = options.schedule,
                           .steps = options.steps,
                           .eta = options.eta,
                           .scale = options.scale,
                           .clip_skip = options.clip_skip,
                           .weighting = weighting_from_name(options.weighting),
                           .tuning = options.tuning};
  if (options.width != 0) settings.width = options.width;
  if (options.height != 0) settings.height = options.height;
  return settings;
}

RunInit init_of(const Options& options, const StableDiffusion& model) {
  const auto size = [](int64_t pixels) {
    return pixels == 0 ? std::nullopt : std::optional<int64_t>(pixels);
  };
  CanvasSettings canvas{};
  canvas.width = size(options.width);
  canvas.height = size(options.height);
  canvas.mask_blur = options.mask_blur;
  return {
      .canvas = make_canvas(read_upright_image(options.init_img),
                            options.mask.empty() ? Image{} : read_upright_image(options.mask, 1),
                            canvas, summarize(model),
                            options.depth.empty() ? Image{} : read_upright_image(options.depth, 1)),
      .strength = options.strength,
      .noise_level = options.noise_level};
}

RunRequest request_of(const Options& options, const StableDiffusion& model) {
  if (options.n < 1 || options.n > kMaxPictures) {
    fail_usage("option 'n' is {}; it is 1 to {}", options.n, kMaxPictures);
  }
  if (options.seed < 0) fail_usage("option 'seed' is {}; it is 0 or more", options.seed);
  if (options.init_img.empty() && !options.mask.empty()) {
    fail_usage("option 'mask' needs 'init-img', the picture that it is of");
  }
  RunRequest request{
      .batches = {std::vector<std::string>(static_cast<size_t>(options.n), options.prompt)},
      .settings = settings_of(options),
      .init = {},
      .seed = static_cast<uint64_t>(options.seed),
      .rng = options.rng,
      .init_latents = {},
      .save_latents = {}};
  LoraFinder finder({});
  for (const std::string& text : options.lora) request.loras.push_back(finder.from_text(text));
  if (!options.init_img.empty()) {
    request.init = init_of(options, model);
    const int64_t times = summarize(model).enlarges;
    request.settings.width = request.init->canvas.picture.width * times;
    request.settings.height = request.init->canvas.picture.height * times;
  }
  return request;
}

std::vector<RunPicture> draw(const StableDiffusion& model, const easel_options& options) {
  const RunRequest request = request_of(options.values, model);
  check(request);
  std::vector<RunPicture> list;
  RunCallbacks callbacks;
  callbacks.log = log_of(options);
  callbacks.on_picture = [&](RunPicture&& picture) { list.push_back(std::move(picture)); };
  if (options.on_step != nullptr) {
    callbacks.on_step = [&](const RunStep& at) {
      if (options.on_step(options.step_user, at.step, at.steps) != 0) {
        throw Error("cancelled by the caller", ErrorKind::Interrupted);
      }
    };
  }
  run_pictures(model, request, callbacks);
  return list;
}

void save(const RunPicture& picture, const fs::path& path, bool overwrite) {
  const std::string extension = path.extension().string();
  const bool is_jpeg = extension == ".jpg" || extension == ".jpeg";
  if (!is_jpeg && extension != ".png") {
    fail_usage("{}: the name ends in .png, .jpg or .jpeg", printable(path.string()));
  }
  const auto bytes = is_jpeg ? encode_jpeg(picture.image) : encode_png(picture.image);
  write_atomically(path, overwrite ? IfExists::Replace : IfExists::Refuse,
                   [&](FileWriter& file) { file.write(bytes); });
}

}  // namespace
}  // namespace easel::capi

using namespace easel::capi;

const char* easel_version(void) { return EASEL_VERSION; }

uint32_t easel_version_number(void) {
  uint32_t number = 0;
  uint32_t part = 0;
  for (const char c : std::string_view(EASEL_VERSION ".")) {
    if (c != '.') {
      part = part * 10 + static_cast<uint32_t>(c - '0');
      continue;
    }
    number = number * 100 + part;
    part = 0;
  }
  return number;
}

easel_options* easel_options_new(void) { return new (std::nothrow) easel_options; }

void easel_options_free(easel_options* options) { delete options; }

easel_status easel_options_set(easel_options* options, const char* name, const char* value) {
  return guarded([&] {
    expect(options, "options");
    expect(name, "name");
    expect(value, "value");
    set_option(options->values, name, value);
  });
}

const char* easel_option_name(size_t index) {
  const auto texts = option_texts();
  return index < texts.size() ? texts[index].name.c_str() : nullptr;
}

const char* easel_option_help(size_t index) {
  const auto texts = option_texts();
  return index < texts.size() ? texts[index].help.c_str() : nullptr;
}

void easel_options_on_step(easel_options* options, easel_on_step function, void* user) {
  if (options == nullptr) return;
  options->on_step = function;
  options->step_user = user;
}

void easel_options_on_log(easel_options* options, easel_on_log function, void* user) {
  if (options == nullptr) return;
  options->on_log = function;
  options->log_user = user;
}

easel_status easel_open(const easel_options* options, easel_model** model) {
  if (model != nullptr) *model = nullptr;
  return guarded([&] {
    expect(options, "options");
    expect(model, "model");
    *model = new easel_model{open(*options)};
  });
}

void easel_close(easel_model* model) { delete model; }

easel_status easel_draw(const easel_model* model, const easel_options* options,
                        easel_pictures** pictures) {
  if (pictures != nullptr) *pictures = nullptr;
  return guarded([&] {
    expect(model, "model");
    expect(options, "options");
    expect(pictures, "pictures");
    *pictures = new easel_pictures{draw(*model->model, *options)};
  });
}

void easel_pictures_free(easel_pictures* pictures) { delete pictures; }

size_t easel_pictures_count(const easel_pictures* pictures) {
  return pictures == nullptr ? 0 : pictures->list.size();
}

easel_picture easel_pictures_get(const easel_pictures* pictures, size_t index) {
  easel_picture view{};
  if (index >= easel_pictures_count(pictures)) return view;
  const easel::RunPicture& picture = pictures->list[index];
  view.pixels = picture.image.pixels.data();
  view.width = picture.image.width;
  view.height = picture.image.height;
  view.seed = picture.seed;
  return view;
}

easel_status easel_pictures_save(const easel_pictures* pictures, size_t index, const char* path,
                                 int overwrite) {
  return guarded([&] {
    expect(pictures, "pictures");
    expect(path, "path");
    if (index >= pictures->list.size()) {
      easel::fail_usage("there is no picture {}: there are {}, numbered from 0", index,
                        pictures->list.size());
    }
    save(pictures->list[index], path, overwrite != 0);
  });
}
