#include "brownian.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr size_t kPoolSize = 24;  // torchsde's
constexpr uint32_t kShift = 16;

void append_words(std::vector<uint32_t>& words, uint64_t value) {
  do {
    words.push_back(static_cast<uint32_t>(value));
    value >>= 32;
  } while (value != 0);
}

struct HashMix {
  uint32_t constant;
  uint32_t multiplier;
  uint32_t operator()(uint32_t value) {
    value ^= constant;
    constant *= multiplier;
    value *= constant;
    return value ^ (value >> kShift);
  }
};

uint32_t mixed(uint32_t x, uint32_t y) {
  const uint32_t result = 0xca01f9ddU * x - 0x4973f715U * y;
  return result ^ (result >> kShift);
}

// To six decimals, correctly rounded as Python's round() is: x * 1e6 would be rounded twice.
double rounded(double x) {
  std::array<char, 400> text;
  std::snprintf(text.data(), text.size(), "%.6f", x);
  return std::strtod(text.data(), nullptr);
}

double single(double x) { return static_cast<double>(static_cast<float>(x)); }

}  // namespace

// O'Neill's seed_seq_fe, "Developing a seed_seq alternative" (2015).
uint32_t seed_sequence(uint64_t entropy, const std::vector<uint64_t>& spawn_key) {
  std::vector<uint32_t> words;
  append_words(words, entropy);
  if (!spawn_key.empty() && words.size() < kPoolSize) words.resize(kPoolSize, 0);
  for (const uint64_t key : spawn_key) append_words(words, key);

  HashMix hash{0x43b0d7e5U, 0x931e8875U};
  std::array<uint32_t, kPoolSize> pool;
  for (size_t i = 0; i < kPoolSize; ++i) pool[i] = hash(i < words.size() ? words[i] : 0);
  for (size_t from = 0; from < kPoolSize; ++from) {
    for (size_t to = 0; to < kPoolSize; ++to) {
      if (from != to) pool[to] = mixed(pool[to], hash(pool[from]));
    }
  }
  for (size_t from = kPoolSize; from < words.size(); ++from) {
    for (uint32_t& to : pool) to = mixed(to, hash(words[from]));
  }
  return HashMix{0x8b51f9ddU, 0x58f38dedU}(pool[0]);
}

struct BrownianTree::Node {
  double start;
  double end;
  uint64_t key;
  uint64_t depth;
  Tensor increment;
};

BrownianTree::BrownianTree(Rng rng, uint64_t entropy, std::vector<int64_t> shape, double low,
                           double high)
    : rng_(rng),
      entropy_(entropy),
      shape_(std::move(shape)),
      low_(single(low)),
      high_(single(high)) {}

// Adds what lies in [a, b] from left to right; both are ends of nodes below this one.
void BrownianTree::collect(const Node& node, double a, double b, Tensor& sum) {
  if (a <= node.start && b >= node.end) {
    sum = sum.defined() ? sum + node.increment : node.increment;
    return;
  }
  const double middle = rounded(0.5 * (node.end + node.start));
  const double share = 1 / (node.end - node.start);
  const double left = middle - node.start;
  const double right = node.end - middle;
  const Place place{node.depth, node.key};
  Tensor& left_increment = used_[place];
  if (const auto known = known_.find(place); known != known_.end()) {
    left_increment = known->second;
  } else if (!left_increment.defined()) {
    NormalStream stream(rng_, seed_sequence(entropy_, {node.key, node.depth}));
    left_increment =
        node.increment * left * share + stream.draw(shape_) * std::sqrt(left * right * share);
  }
  if (a < middle) {
    collect({node.start, middle, 2 * node.key, node.depth + 1, left_increment}, a,
            std::min(b, middle), sum);
  }
  if (b > middle) {
    collect({middle, node.end, 2 * node.key + 1, node.depth + 1, node.increment - left_increment},
            std::max(a, middle), b, sum);
  }
}

Tensor BrownianTree::increment(double a, double b) {
  a = rounded(std::clamp(single(a), low_, high_));
  b = rounded(std::clamp(single(b), low_, high_));
  if (a >= b) return at::zeros(shape_, at::TensorOptions().dtype(at::kFloat));
  if (!whole_.defined()) {
    NormalStream stream(rng_, seed_sequence(entropy_, {}));
    whole_ = stream.draw(shape_) * std::sqrt(high_ - low_);
  }
  Tensor sum;
  collect({rounded(low_), rounded(high_), 0, 0, whole_}, a, b, sum);
  known_ = std::exchange(used_, {});
  return sum;
}

Tensor BrownianNoise::operator()(double from, double to) {
  std::vector<Tensor> rows;
  const auto [low, high] = std::minmax(from, to);
  for (BrownianTree& tree : trees_) rows.push_back(tree.increment(low, high));
  const double sign = from > to ? -1 : 1;  // time runs with sigma
  const Tensor sum = whole_batch_ ? rows.at(0) : at::stack(rows);
  return sum * sign / std::sqrt(single(high) - single(low));
}

BrownianNoise::BrownianNoise(std::vector<BrownianTree> trees, bool whole_batch)
    : trees_(std::move(trees)), whole_batch_(whole_batch) {}
BrownianNoise::~BrownianNoise() = default;
BrownianNoise::BrownianNoise(BrownianNoise&&) noexcept = default;

BrownianNoise NoiseSource::brownian(at::IntArrayRef shape_BCHW, double low, double high) {
  std::vector<BrownianTree> trees;
  if (shared_ != nullptr) {
    trees.emplace_back(shared_->rng(), shared_->draw_seed(), shape_BCHW.vec(), low, high);
    return {std::move(trees), true};
  }
  check_seeds(shape_BCHW);
  for (const uint64_t seed : seeds_) {
    trees.emplace_back(rng_, seed, shape_BCHW.slice(1).vec(), low, high);
  }
  return {std::move(trees), false};
}

}  // namespace easel
