#include "lora_delta.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr double kMaxScale = 1e4;
constexpr int64_t kMaxElements = int64_t{1} << 29;  // of what is computed on the way

// An update in the shape of the weight, not yet scaled, and the rank that alpha is divided by; 0
// where nothing was factored.
struct Update {
  Tensor value;
  int64_t rank = 0;
};

int64_t size_at(const Tensor& tensor, int64_t dim) {
  return dim < tensor.dim() ? tensor.size(dim) : 1;
}

class ModuleUpdate {
 public:
  ModuleUpdate(const LoraModule& module, const Tensor& weight, const std::string& what)
      : module_(module), weight_(weight), what_(what) {}

  Update update() const {
    if (has(LoraRole::Down) && has(LoraRole::Up)) return lora();
    if (has(LoraRole::HadaW1A) && has(LoraRole::HadaW1B) && has(LoraRole::HadaW2A) &&
        has(LoraRole::HadaW2B)) {
      return loha();
    }
    const bool w1 = has(LoraRole::LokrW1) || (has(LoraRole::LokrW1A) && has(LoraRole::LokrW1B));
    const bool w2 = has(LoraRole::LokrW2) || (has(LoraRole::LokrW2A) && has(LoraRole::LokrW2B));
    if (w1 && w2) return lokr();
    fail("{}: a factor of the update is missing", what_);
  }

  // DoRA's magnitudes, one a row or one a column of the weight; undefined without DoRA.
  Tensor magnitudes() const {
    const bool of_rows = has(LoraRole::Magnitude);
    if (!of_rows && !has(LoraRole::DoraScale)) return {};
    const Tensor given = part(of_rows ? LoraRole::Magnitude : LoraRole::DoraScale);
    std::vector<int64_t> shape(static_cast<size_t>(weight_.dim()), 1);
    if (given.numel() == weight_.size(0) && (of_rows || given.size(0) == weight_.size(0))) {
      shape[0] = weight_.size(0);
    } else if (!of_rows && given.numel() == weight_.size(1)) {
      shape[1] = weight_.size(1);
    } else {
      fail("{}: magnitudes of shape {} do not fit the weight {}", what_, shape_text(given.sizes()),
           shape_text(weight_.sizes()));
    }
    return given.reshape(shape);
  }

 private:
  bool has(LoraRole role) const { return module_.has(role); }
  Tensor part(LoraRole role) const {
    return module_.at(role).to(weight_.device(), at::kFloat).contiguous();
  }

  [[noreturn]] void misfit(const Tensor& a, const Tensor& b) const {
    fail("{}: tensors of shape {} and {} do not go together, or not with the weight {}", what_,
         shape_text(a.sizes()), shape_text(b.sizes()), shape_text(weight_.sizes()));
  }

  // [rows, rank] times [rank, columns]. Sizes first: two small factors can have a huge product.
  Tensor product(const Tensor& a, const Tensor& b) const {
    if (a.dim() < 2 || b.dim() < 2) misfit(a, b);
    const Tensor left = a.flatten(1);
    const Tensor right = b.flatten(1);
    if (left.size(1) != right.size(0)) misfit(a, b);
    if (left.size(0) > weight_.numel() / right.size(1)) misfit(a, b);
    return at::matmul(left, right);
  }

  // sum_ij core[i, j, ...] a[i, o] b[j, p] as [o, p, ...]
  Tensor tucker(const Tensor& core, const Tensor& a, const Tensor& b) const {
    if (core.dim() < 2 || a.dim() != 2 || b.dim() != 2) misfit(a, b);
    if (core.size(0) != a.size(0)) misfit(core, a);
    if (core.size(1) != b.size(0)) misfit(core, b);
    const int64_t kernel = core.numel() / (core.size(0) * core.size(1));
    if (a.size(1) > weight_.numel() / b.size(1) / kernel) misfit(a, b);
    if (a.size(1) > kMaxElements / b.size(0) / kernel) misfit(core, a);
    const Tensor rows = at::tensordot(a, core, {0}, {0});   // [o, j, ...]
    const Tensor whole = at::tensordot(rows, b, {1}, {0});  // [o, ..., p]
    return at::movedim(whole, -1, 1);
  }

  // The product of a and b, where they give the weight's rows and columns.
  Tensor fitted(const Tensor& value, const Tensor& a, const Tensor& b) const {
    if (value.size(0) != weight_.size(0) || value.numel() != weight_.numel()) misfit(a, b);
    for (int64_t d = 1; value.dim() > 2 && d < std::max(value.dim(), weight_.dim()); ++d) {
      if (size_at(value, d) != size_at(weight_, d)) misfit(a, b);
    }
    return value.reshape(weight_.sizes());
  }

  Update lora() const {
    const Tensor down = part(LoraRole::Down);
    const Tensor up = part(LoraRole::Up);
    if (down.dim() < 2 || up.dim() < 2) misfit(up, down);
    const int64_t rank = down.size(0);
    if (has(LoraRole::Mid)) {
      return {fitted(tucker(part(LoraRole::Mid), up.flatten(1).t(), down.flatten(1)), up, down),
              rank};
    }
    // A 1 x 1 convolution and a linear layer are the same numbers, and files have either.
    for (int64_t d = 1; d < std::max(down.dim(), weight_.dim()); ++d) {
      if (size_at(down, d) != size_at(weight_, d)) misfit(up, down);
    }
    return {fitted(product(up, down), up, down), rank};
  }

  Tensor hada_half(LoraRole a_role, LoraRole b_role, LoraRole core) const {
    const Tensor a = part(a_role);
    const Tensor b = part(b_role);
    return fitted(has(core) ? tucker(part(core), a, b) : product(a, b), a, b);
  }

  Update loha() const {
    const Tensor first = hada_half(LoraRole::HadaW1A, LoraRole::HadaW1B, LoraRole::HadaT1);
    const Tensor second = hada_half(LoraRole::HadaW2A, LoraRole::HadaW2B, LoraRole::HadaT2);
    return {first * second, module_.at(LoraRole::HadaW1B).size(0)};
  }

  // W = kron(w1, w2), w1 [o1, i1] and w2 [o2, i2, kernel ...].
  Update lokr() const {
    int64_t rank = 0;
    Tensor w1, w2;
    if (has(LoraRole::LokrW1)) {
      w1 = part(LoraRole::LokrW1);
    } else {
      const Tensor b = part(LoraRole::LokrW1B);
      rank = b.dim() > 0 ? b.size(0) : 0;
      w1 = product(part(LoraRole::LokrW1A), b);
    }
    if (has(LoraRole::LokrW2)) {
      w2 = part(LoraRole::LokrW2);
    } else {
      const Tensor a = part(LoraRole::LokrW2A);
      const Tensor b = part(LoraRole::LokrW2B);
      rank = b.dim() > 0 ? b.size(0) : 0;
      w2 = has(LoraRole::LokrT2) ? tucker(part(LoraRole::LokrT2), a, b) : product(a, b);
    }
    if (w1.dim() != 2 || w2.dim() < 2) misfit(w1, w2);
    if (weight_.size(0) % w1.size(0) != 0 || weight_.size(1) % w1.size(1) != 0) misfit(w1, w2);
    std::vector<int64_t> shape = weight_.sizes().vec();
    shape[0] /= w1.size(0);
    shape[1] /= w1.size(1);
    if (w2.size(0) != shape[0] || w2.numel() != weight_.numel() / w1.numel()) misfit(w1, w2);
    w2 = w2.reshape(shape);
    // [o1, 1, i1, 1, ...] times [1, o2, 1, i2, ...]
    w1 = w1.unsqueeze(1).unsqueeze(3);
    w2 = w2.unsqueeze(1).unsqueeze(0);
    while (w1.dim() < w2.dim()) w1 = w1.unsqueeze(-1);
    return {(w1 * w2).reshape(weight_.sizes()), rank};
  }

  const LoraModule& module_;
  const Tensor& weight_;
  const std::string& what_;
};

double scale_of(const LoraModule& module, int64_t rank, const std::string& what) {
  if (!module.alpha || rank < 1) return 1;
  const auto divisor = static_cast<double>(rank);
  const double scale = *module.alpha / (module.divides_by_root ? std::sqrt(divisor) : divisor);
  if (!(std::abs(scale) <= kMaxScale)) {
    fail("{}: alpha is {} for the rank {}; no update is scaled by more than {}", what,
         *module.alpha, rank, kMaxScale);
  }
  return scale;
}

}  // namespace

Tensor adapted(const Tensor& weight, const LoraModule& module, double strength,
               const std::string& what) {
  const ModuleUpdate parts(module, weight, what);
  const Update update = parts.update();
  const double scale = scale_of(module, update.rank, what);
  const Tensor magnitudes = parts.magnitudes();
  const Tensor from = weight.to(at::kFloat);
  if (!magnitudes.defined()) return at::add(from, update.value, strength * scale);
  const Tensor moved = at::add(from, update.value, scale);
  std::vector<int64_t> others;
  for (int64_t d = 0; d < weight.dim(); ++d) {
    if (magnitudes.size(d) == 1) others.push_back(d);
  }
  const Tensor norms = moved.square().sum(others, /*keepdim=*/true).sqrt();
  return at::lerp(from, moved * (magnitudes / norms), strength);
}

}  // namespace easel
