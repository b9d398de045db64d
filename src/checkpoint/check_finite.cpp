#include <algorithm>
#include <atomic>
#include <cstring>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/checkpoint/weights.h>

namespace easel {
namespace {

constexpr int64_t kChunk = int64_t{1} << 20;  // elements: the unit of work
constexpr size_t kMaxNames = 10;

// Whether any number's magnitude, as an integer, reaches the limit. Integer arithmetic without a
// branch in the loop, so that it runs at memory speed.
template <class Bits>
bool any_reaches(const std::byte* data, int64_t count, Bits limit) {
  constexpr Bits kMagnitude = static_cast<Bits>(~Bits{0}) >> 1;
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data + static_cast<size_t>(i) * sizeof(Bits), sizeof(Bits));
    found |= static_cast<Bits>((bits & kMagnitude) >= limit);
  }
  return found != 0;
}

// Infinity's bits, or with `to_half` those of 65520, the least number that float16 rounds to
// infinity.
bool any_bad(const Tensor& tensor, int64_t begin, int64_t end, bool to_half) {
  const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr()) +
                     static_cast<size_t>(begin) * tensor.element_size();
  const int64_t count = end - begin;
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return any_reaches<uint32_t>(data, count, to_half ? 0x477FF000u : 0x7F800000u);
    case at::kHalf:
      return any_reaches<uint16_t>(data, count, 0x7C00);
    case at::kBFloat16:
      return any_reaches<uint16_t>(data, count, to_half ? 0x4780 : 0x7F80);
    case at::kDouble:
      return any_reaches<uint64_t>(data, count,
                                   to_half ? 0x40EFFE0000000000u : 0x7FF0000000000000u);
    default:
      return !at::isfinite(tensor.flatten().slice(0, begin, end).to(at::kFloat)).all().item<bool>();
  }
}

struct Chunk {
  size_t tensor;
  int64_t begin, end;
};

}  // namespace

void check_finite(const Tensors& tensors, const std::string& name,
                  std::optional<at::ScalarType> target) {
  const bool to_half = target == at::kHalf;
  std::vector<Tensor> dense;
  std::vector<const std::string*> names;
  std::vector<Chunk> chunks;
  for (const auto& [key, tensor] : tensors) {
    if (!tensor.is_floating_point() || tensor.numel() == 0) continue;
    dense.push_back(tensor.cpu().contiguous());
    names.push_back(&key);
    for (int64_t begin = 0; begin < tensor.numel(); begin += kChunk) {
      chunks.push_back({dense.size() - 1, begin, std::min(begin + kChunk, tensor.numel())});
    }
  }
  std::vector<std::atomic<bool>> bad(dense.size());
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Chunk& chunk = chunks[static_cast<size_t>(i)];
      if (any_bad(dense[chunk.tensor], chunk.begin, chunk.end, to_half)) bad[chunk.tensor] = true;
    }
  });
  std::vector<std::string> found;
  for (size_t i = 0; i < bad.size(); ++i) {
    if (bad[i]) found.push_back(printable(*names[i], 200));
  }
  if (found.empty()) return;
  const size_t count = found.size();
  if (count > kMaxNames) found.resize(kMaxNames);
  const std::string list =
      fmt::format("{}{}", fmt::join(found, ", "), count > kMaxNames ? " ..." : "");
  if (to_half) {
    // The numbers may be fine as they are stored; only a second look tells.
    check_finite(tensors, name, std::nullopt);
    fail("{}: {} tensor{} numbers beyond float16's range: {}; use bfloat16 or float32", name, count,
         count == 1 ? " holds" : "s hold", list);
  }
  fail("{}: {} tensor{} NaN or infinity: {}; the file is damaged, or its training went wrong", name,
       count, count == 1 ? " holds" : "s hold", list);
}

}  // namespace easel
