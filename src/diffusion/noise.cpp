#include "easel/diffusion/noise.h"

#include <array>
#include <limits>
#include <span>
#include <variant>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <easel/base/error.h>

#include "philox.h"

namespace easel {
namespace {

struct PhiloxState {
  uint64_t seed;
  uint64_t call = 0;
};

}  // namespace

Rng rng_from_name(std::string_view name) {
  if (name == "cpu") return Rng::Cpu;
  if (name == "cuda") return Rng::Cuda;
  static constexpr std::array<std::string_view, 2> kNames = {"cpu", "cuda"};
  throw Error(unknown_name("random number generator", name, kNames), ErrorKind::Usage);
}

struct NormalStream::State {
  std::variant<at::Generator, PhiloxState> generator;
};

NormalStream::NormalStream(Rng rng, uint64_t seed) : state_(std::make_unique<State>()) {
  if (rng == Rng::Cpu) {
    state_->generator = at::detail::createCPUGenerator(seed);
  } else {
    state_->generator = PhiloxState{seed};
  }
}

NormalStream::~NormalStream() = default;
NormalStream::NormalStream(NormalStream&&) noexcept = default;
NormalStream& NormalStream::operator=(NormalStream&&) noexcept = default;

Tensor NormalStream::draw(at::IntArrayRef shape) {
  if (auto* generator = std::get_if<at::Generator>(&state_->generator)) {
    return at::randn(shape, *generator, at::TensorOptions().dtype(at::kFloat));
  }
  auto& philox = std::get<PhiloxState>(state_->generator);
  Tensor values = at::empty(shape, at::TensorOptions().dtype(at::kFloat));
  if (values.numel() == 0) return values;
  philox_normal(philox.seed, philox.call++,
                {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

void NormalStream::skip(at::IntArrayRef shape) {
  if (auto* philox = std::get_if<PhiloxState>(&state_->generator)) {
    philox->call += c10::multiply_integers(shape) > 0 ? 1 : 0;
  } else {
    draw(shape);  // mt19937 has no cheaper way ahead
  }
}

uint64_t NormalStream::draw_seed() {
  if (auto* generator = std::get_if<at::Generator>(&state_->generator)) {
    const Tensor seed = at::randint(std::numeric_limits<int64_t>::max(), {}, *generator,
                                    at::TensorOptions().dtype(at::kLong));
    return static_cast<uint64_t>(seed.item<int64_t>());
  }
  const Tensor bits = draw({2}).view(at::kInt).to(at::kLong);
  return (static_cast<uint64_t>(bits[0].item<int64_t>()) & 0x7fffffffU) << 32 |
         (static_cast<uint64_t>(bits[1].item<int64_t>()) & 0xffffffffU);
}

Rng NormalStream::rng() const {
  return std::holds_alternative<at::Generator>(state_->generator) ? Rng::Cpu : Rng::Cuda;
}

NoiseSource NoiseSource::per_image(Rng rng, const std::vector<uint64_t>& seeds) {
  NoiseSource source;
  source.rng_ = rng;
  source.seeds_ = seeds;
  for (const uint64_t seed : seeds) source.streams_.emplace_back(rng, seed);
  return source;
}

NoiseSource NoiseSource::per_batch(NormalStream& stream) {
  NoiseSource source;
  source.shared_ = &stream;
  return source;
}

NoiseSource NoiseSource::restarted() const {
  return shared_ != nullptr ? per_batch(*shared_) : per_image(rng_, seeds_);
}

void NoiseSource::check_seeds(at::IntArrayRef shape_BCHW) const {
  if (shape_BCHW.empty() || static_cast<size_t>(shape_BCHW[0]) != seeds_.size()) {
    fail("noise for a batch of shape {} was asked of {} seeds; give one seed for each picture",
         shape_text(shape_BCHW), seeds_.size());
  }
}

Tensor NoiseSource::draw(at::IntArrayRef shape_BCHW) {
  if (shared_ != nullptr) return shared_->draw(shape_BCHW);
  check_seeds(shape_BCHW);
  std::vector<Tensor> rows_CHW;
  for (NormalStream& stream : streams_) rows_CHW.push_back(stream.draw(shape_BCHW.slice(1)));
  return rows_CHW.empty() ? at::empty(shape_BCHW, at::TensorOptions().dtype(at::kFloat))
                          : at::stack(rows_CHW);
}

void NoiseSource::discard(at::IntArrayRef shape_BCHW) {
  if (shared_ != nullptr) shared_->skip(shape_BCHW);
}

}  // namespace easel
