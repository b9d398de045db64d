// The hand-written CPU operators against LibTorch's, over odd sizes, with every instruction set
// that this processor has.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "easel/ops/activation.h"
#include "easel/ops/aten_only.h"
#include "easel/ops/attention.h"
#include "easel/ops/linear.h"
#include "easel/ops/normalization.h"
#include "src/ops/cpu/float32.h"
#include "src/ops/cpu/kernels.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

class CpuKernels : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    if (!ops::cpu::has_kernels()) GTEST_SKIP() << "this processor has neither AVX2 nor NEON";
    hwy::SetSupportedTargetsForTest(GetParam());
  }
  ~CpuKernels() override {
    hwy::SetSupportedTargetsForTest(0);  // all
    at::set_num_threads(threads_);
  }

  // run() by the kernels with one thread and with three, bit for bit the same; then by ATen.
  template <class Run>
  void expect_same(const Run& run, double part, const std::string& what) {
    const at::NoGradGuard no_grad;
    at::set_num_threads(1);
    const Tensor got = run();
    at::set_num_threads(3);
    EXPECT_TRUE(at::equal(got, run())) << what << ": depends on the threads";
    const ops::AtenOnly aten_only;
    test::expect_close(got, run(), part, what);
  }

 private:
  int threads_ = at::get_num_threads();
};

TEST_P(CpuKernels, Linear) {
  struct Case {
    int64_t rows, in, out;
  };
  for (const auto [rows, in, out] :
       {Case{24, 1, 1}, Case{25, 7, 31}, Case{77, 768, 33}, Case{100, 40, 64}, Case{35, 1283, 65},
        Case{400, 320, 100}, Case{31, 2561, 130}}) {
    const Tensor x = random({1, rows, in}, 1);
    const Tensor weight = random({out, in}, 2);
    const Tensor bias = random({out}, 3);
    const std::string what = fmt::format("{} x {} x {}", rows, in, out);
    const at::NoGradGuard no_grad;
    ASSERT_TRUE(ops::cpu::serves_linear(x, weight, bias)) << what;
    expect_same([&] { return ops::linear(x, weight, bias); }, 2e-6, what);
    expect_same([&] { return ops::linear(x, weight, {}); }, 2e-6, what + " without a bias");
    // Rows that are not neighbours in memory.
    const Tensor spread = random({in, rows}, 4).t();
    expect_same([&] { return ops::linear(spread, weight, bias); }, 2e-6, what + " transposed");
  }
}

TEST_P(CpuKernels, Convolution3x3) {
  struct Case {
    int64_t batch, in, out, height, width;
  };
  for (const auto [batch, in, out, height, width] :
       {Case{1, 16, 32, 4, 4}, Case{2, 48, 33, 5, 7}, Case{3, 32, 70, 8, 13},
        Case{1, 64, 100, 30, 31}, Case{2, 16, 47, 64, 6}, Case{1, 320, 64, 9, 16}}) {
    const Tensor x = random({batch, in, height, width}, 1);
    const Tensor weight = random({out, in, 3, 3}, 2);
    const Tensor bias = random({out}, 3);
    const std::string what = fmt::format("{} x {} x {} x {} to {}", batch, in, height, width, out);
    const at::NoGradGuard no_grad;
    ASSERT_TRUE(ops::cpu::serves_winograd(x, weight, bias, 1, 1)) << what;
    expect_same([&] { return ops::conv2d(x, weight, bias, 1, 1); }, 2e-5, what);
    expect_same([&] { return ops::conv2d(channels_last(x), weight, {}, 1, 1); }, 2e-5,
                what + ", channels last, without a bias");
  }
}

TEST_P(CpuKernels, OtherConvolutions) {
  struct Case {
    int64_t in, out, kernel, stride, padding;
  };
  for (const auto [in, out, kernel, stride, padding] :
       {Case{48, 33, 1, 1, 0}, Case{7, 5, 1, 1, 0}, Case{48, 33, 1, 2, 0}, Case{16, 40, 1, 1, 1},
        Case{32, 40, 3, 2, 1}, Case{32, 40, 3, 2, 0}, Case{32, 40, 3, 1, 0}, Case{4, 64, 3, 1, 1},
        Case{64, 4, 3, 1, 1}}) {
    const Tensor x = random({2, in, 9, 11}, 1);
    const Tensor weight = random({out, in, kernel, kernel}, 2);
    const Tensor bias = random({out}, 3);
    expect_same([&] { return ops::conv2d(x, weight, bias, stride, padding); }, 2e-5,
                fmt::format("{} to {}, {} x {}, stride {}, padding {}", in, out, kernel, kernel,
                            stride, padding));
  }
}

TEST_P(CpuKernels, GroupNorm) {
  struct Case {
    int64_t batch, channels, groups, height, width;
  };
  for (const auto [batch, channels, groups, height, width] :
       {Case{1, 16, 16, 1, 3}, Case{2, 32, 4, 7, 5}, Case{3, 80, 8, 33, 9},
        Case{1, 320, 32, 64, 65}}) {
    const Tensor x = channels_last(random({batch, channels, height, width}, 1) * 3 + 5);
    const Tensor weight = random({channels}, 2);
    const Tensor bias = random({channels}, 3);
    const std::string what = fmt::format("{} x {} x {} x {}", batch, channels, height, width);
    const at::NoGradGuard no_grad;
    ASSERT_TRUE(ops::cpu::serves_group_norm(x, weight, bias)) << what;
    expect_same([&] { return ops::group_norm(x, groups, weight, bias, 1e-5); }, 1e-5, what);
    expect_same([&] { return ops::group_norm_silu(x, groups, weight, bias, 1e-5); }, 1e-5,
                what + ", silu");
    expect_same([&] { return ops::channel_sums(x); }, 1e-6, what + ", sums");
    const Tensor sums = ops::channel_sums(x);
    expect_same(
        [&] {
          return ops::group_norm_rows(x, sums, height * width, groups, weight, bias, 1e-5, true);
        },
        1e-5, what + ", by its sums");
  }
}

TEST_P(CpuKernels, SiluAndGeluOfExtremes) {
  const at::NoGradGuard no_grad;
  // 32 equal channels of one pixel have no variance: the bias alone is left.
  const Tensor bias = at::tensor({-1e30f, -200.0f, -88.0f, -30.0f, -1.0f, 0.0f, 1.0f, 30.0f, 88.0f,
                                  200.0f, 1e30f, -1e-30f, 1e-30f, -10.0f, 5.0f, -5.0f});
  const Tensor x = channels_last(at::zeros({1, 16, 1, 3}));
  const Tensor got = ops::group_norm_silu(x, 16, at::ones({16}), bias, 1e-5);
  EXPECT_TRUE(at::allclose(got.select(3, 1).flatten(), at::silu(bias), 1e-5, 1e-30)) << got;
  const Tensor gate = at::cat({at::ones({16}), bias}).repeat({3, 1});
  EXPECT_TRUE(at::allclose(ops::geglu(gate)[2], at::gelu(bias), 1e-5, 1e-6)) << ops::geglu(gate)[2];
}

TEST_P(CpuKernels, Attention) {
  struct Case {
    int64_t batch, queries, keys, heads, features;
  };
  for (const auto [batch, queries, keys, heads, features] :
       {Case{1, 16, 1, 1, 1}, Case{2, 17, 77, 8, 40}, Case{1, 100, 300, 2, 80},
        Case{1, 97, 257, 3, 7}, Case{1, 200, 33, 1, 160}, Case{2, 30, 130, 1, 512},
        Case{1, 290, 1030, 5, 24}}) {
    const Tensor q = random({batch, queries, heads * features}, 1);
    const Tensor k = random({batch, keys, heads * features}, 2);
    const Tensor v = random({batch, keys, heads * features}, 3);
    const std::string what =
        fmt::format("{} x {} x {}, {} heads of {}", batch, queries, keys, heads, features);
    const at::NoGradGuard no_grad;
    ASSERT_TRUE(ops::cpu::serves_attention(q, k, v)) << what;
    const auto heads_of = heads;
    expect_same([&] { return ops::attention(q, k, v, heads_of); }, 2e-6, what);
    // Scores of hundreds, some keys far above the others.
    const Tensor large = q * 40;
    expect_same([&] { return ops::attention(large, k, v, heads_of); }, 2e-5, what + ", large");
    // Tokens that are not neighbours in memory.
    const Tensor spread = random({batch, heads * features, queries}, 4).transpose(1, 2);
    expect_same([&] { return ops::attention(spread, k, v, heads_of); }, 2e-6, what + ", spread");
    // Narrower numbers: as float32, but for the rounding at both ends.
    const auto narrow = [](const Tensor& x) { return x.to(at::kBFloat16); };
    const Tensor rounded = ops::attention(narrow(q), narrow(k), narrow(v), heads);
    EXPECT_EQ(rounded.scalar_type(), at::kBFloat16);
    const auto wide = [&](const Tensor& x) { return narrow(x).to(at::kFloat); };
    test::expect_close(rounded.to(at::kFloat), ops::attention(wide(q), wide(k), wide(v), heads),
                       4e-3, what + ", bfloat16");
  }
}

TEST_P(CpuKernels, Geglu) {
  for (const int64_t half : {16, 48, 1280}) {
    const Tensor x = random({2, 19, 2 * half}, 1) * 3;
    const at::NoGradGuard no_grad;
    ASSERT_TRUE(ops::cpu::serves_geglu(x));
    expect_same([&] { return ops::geglu(x); }, 1e-6, fmt::format("{}", half));
  }
}

TEST_P(CpuKernels, LeaveGradientsOtherTypesAndAtenOnlyToAten) {
  const Tensor x = random({32, 16}, 1);
  const Tensor weight = random({32, 16}, 2);
  EXPECT_FALSE(ops::cpu::serves_linear(x, weight, {})) << "gradients are recorded";
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(ops::cpu::serves_linear(x, weight, {}));
  EXPECT_FALSE(ops::cpu::serves_linear(x.to(at::kDouble), weight.to(at::kDouble), {}));
  EXPECT_FALSE(ops::cpu::serves_linear(x, weight.to(at::kDouble), {}));
  EXPECT_FALSE(ops::cpu::serves_linear(x, weight.t(), {}));
  {
    const ops::AtenOnly outer;
    { const ops::AtenOnly inner; }
    EXPECT_FALSE(ops::cpu::serves_linear(x, weight, {}));
  }
  EXPECT_TRUE(ops::cpu::serves_linear(x, weight, {}));
}

INSTANTIATE_TEST_SUITE_P(Targets, CpuKernels,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) { return hwy::TargetName(target.param); });

}  // namespace
}  // namespace easel
