#include "easel/pipeline/upscale.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/checkpoint/upscaler.h>
#include <easel/io/resize.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/device.h>

#include "torch_errors.h"

namespace easel {
namespace {

// Pixels around each square that the network sees and that are cut off again.
constexpr int64_t kMargin = 16;

// [begin, end) of a side, and what of it the network gets.
struct Piece {
  int64_t begin, end;
  int64_t from, to;
};

std::vector<Piece> pieces(int64_t side, int64_t tile) {
  if (tile == 0) tile = side;
  std::vector<Piece> list;
  for (int64_t begin = 0; begin < side; begin += tile) {
    const int64_t end = std::min(begin + tile, side);
    list.push_back({.begin = begin,
                    .end = end,
                    .from = std::max<int64_t>(begin - kMargin, 0),
                    .to = std::min(end + kMargin, side)});
  }
  return list;
}

}  // namespace

std::shared_ptr<const Upscaler> open_upscaler(const std::filesystem::path& path,
                                              const std::string& device, const std::string& dtype) {
  const at::Device on = device_from_name(device);
  at::ScalarType type = on.is_cpu() ? at::kFloat : at::kHalf;
  if (dtype != "auto") {
    const auto named = dtype_from_name(dtype);
    if (!named || !at::isFloatingType(*named)) {
      fail_usage("unknown dtype '{}'; it is auto, float32, float16 or bfloat16", printable(dtype));
    }
    type = *named;
  }
  return with_plain_errors("the upscaler needs more than there is", [&] {
    return std::make_shared<const Upscaler>(load_upscaler(path, on, type));
  });
}

int64_t upscaler_scale(const Upscaler& upscaler) { return upscaler.scale(); }

void check_upscale_tile(int64_t tile) {
  constexpr int64_t kLeast = 2 * kMargin;
  if (tile == 0 || (tile >= kLeast && tile <= 1 << 15)) return;
  fail_usage("upscale-tile is {}; it is {} pixels or more, or 0 for the whole picture at once",
             tile, kLeast);
}

Image upscale(const Upscaler& upscaler, const Image& image, int64_t tile,
              const std::function<void(int64_t, int64_t)>& on_tile) {
  check_upscale_tile(tile);
  const c10::InferenceMode inference;
  return with_plain_errors("use a smaller --upscale-tile", [&] {
    const int64_t scale = upscaler.scale();
    const Tensor x_BCHW = from_image(image).add_(1).div_(2);
    const auto rows = pieces(image.height, tile);
    const auto columns = pieces(image.width, tile);
    const auto all = static_cast<int64_t>(rows.size() * columns.size());
    int64_t done = 0;
    std::vector<Tensor> strips;
    for (const Piece& row : rows) {
      std::vector<Tensor> squares;
      for (const Piece& column : columns) {
        const Tensor square = x_BCHW.narrow(2, row.from, row.to - row.from)
                                  .narrow(3, column.from, column.to - column.from)
                                  .contiguous();
        const Tensor y = upscaler.forward(square).to(at::kCPU, at::kFloat);
        squares.push_back(y.narrow(2, (row.begin - row.from) * scale, (row.end - row.begin) * scale)
                              .narrow(3, (column.begin - column.from) * scale,
                                      (column.end - column.begin) * scale)
                              .contiguous());
        if (!at::isfinite(squares.back()).all().item<bool>()) {
          fail("the upscaler gave NaN or infinity in {}: {}", dtype_name(upscaler.dtype),
               upscaler.dtype == at::kFloat ? "its weights may be damaged"
                                            : "use --dtype float32 (--precision full)");
        }
        if (on_tile) on_tile(++done, all);
      }
      strips.push_back(at::cat(squares, 3));
    }
    // Real-ESRGAN's program, and all that follow it, round here.
    return to_image(at::cat(strips, 2)[0].mul_(2).sub_(1), PixelRounding::Nearest);
  });
}

Image upscale_to(const Upscaler& upscaler, const Image& image, int width, int height,
                 int64_t tile) {
  Image larger = image;
  for (int round = 0; round < 3 && (larger.width < width || larger.height < height); ++round) {
    if (upscaler.scale() == 1 && round > 0) break;
    larger = upscale(upscaler, larger, tile);
  }
  if (larger.width == width && larger.height == height) return larger;
  return resize(larger, width, height, ResizeFilter::Lanczos);
}

}  // namespace easel
