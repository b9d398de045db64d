// Enlarging pictures with an upscaler model (ESRGAN and its kin). No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <easel/io/image.h>

namespace easel {

struct Upscaler;

// `device` and `dtype` as in ModelRequest. Throws Error.
std::shared_ptr<const Upscaler> open_upscaler(const std::filesystem::path& path,
                                              const std::string& device = "auto",
                                              const std::string& dtype = "auto");

// How many times as wide and high it makes a picture.
int64_t upscaler_scale(const Upscaler& upscaler);

constexpr int64_t kUpscaleTile = 256;

// Throws Error (Usage) unless it is 0, or enough to be worth its margins.
void check_upscale_tile(int64_t tile);

// The RGB picture, enlarged square by square of at most `tile` pixels a side, each with a margin of
// its surroundings; 0: at once. on_tile(done, all) is called after each square and may throw.
Image upscale(const Upscaler& upscaler, const Image& image, int64_t tile = kUpscaleTile,
              const std::function<void(int64_t done, int64_t all)>& on_tile = {});

// The picture enlarged until it has this size, up to three times over, then resized to it.
Image upscale_to(const Upscaler& upscaler, const Image& image, int width, int height,
                 int64_t tile = kUpscaleTile);

}  // namespace easel
