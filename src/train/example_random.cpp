#include "example_random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <easel/train/batch.h>

namespace easel {
namespace {

uint64_t seed_for(uint64_t seed, Purpose purpose) {
  return mix_seed(seed, static_cast<uint64_t>(purpose));
}

}  // namespace

Tensor example_normal(const std::vector<uint64_t>& seeds, Purpose purpose, at::IntArrayRef shape,
                      at::Device device) {
  std::vector<int64_t> sizes{static_cast<int64_t>(seeds.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  Tensor all = at::empty(sizes, at::kFloat);
  for (size_t i = 0; i < seeds.size(); ++i) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed_for(seeds[i], purpose));
    all[static_cast<int64_t>(i)].normal_(0, 1, generator);
  }
  return all.to(device);
}

Tensor example_integers(const std::vector<uint64_t>& seeds, Purpose purpose, int64_t below) {
  std::vector<int64_t> numbers;
  for (const uint64_t seed : seeds) {
    numbers.push_back(static_cast<int64_t>(seed_for(seed, purpose) % static_cast<uint64_t>(below)));
  }
  return at::tensor(numbers, at::kLong);
}

double example_uniform(uint64_t seed, Purpose purpose) {
  return static_cast<double>(seed_for(seed, purpose) >> 11) * 0x1p-53;
}

}  // namespace easel
