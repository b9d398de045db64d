#include "easel/diffusion/noise.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "src/diffusion/philox.h"
#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

TEST(NormalStream, IsTorchRandnOnTheCpu) {
  for (const auto& row : test::read_fixture("torch_randn")) {
    const uint64_t seed = std::stoull(row.at("seed").get<std::string>());
    NormalStream stream(Rng::Cpu, seed);
    NormalStream skipping(Rng::Cpu, seed);
    bool skip = true;
    for (const auto& draw : row.at("draws")) {
      const auto shape = draw.at("shape").get<std::vector<int64_t>>();
      const Tensor want = test::tensor_from_json(draw.at("values"), shape);
      // The vectorised and the plain code of torch differ in the last digits.
      test::expect_close(stream.draw(shape), want, 1e-6);
      if (skip)
        skipping.skip(shape);
      else
        test::expect_close(skipping.draw(shape), want, 1e-6);
      skip = !skip;
    }
  }
}

// The known answers of Random123 (Salmon et al.), kat_vectors, philox4x32 10.
TEST(Philox, GivesItsAuthorsNumbers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// torch.manual_seed(0); torch.randn(3, 4, device="cuda"), as A1111's rng_philox.py documents it.
TEST(NormalStream, IsTorchRandnOnCuda) {
  NormalStream stream(Rng::Cuda, 0);
  const Tensor want = at::tensor({-0.92466259, -0.42534415, -2.6438457, 0.14518388,    //
                                  -0.12086647, -0.57972564, -0.62285122, -0.32838709,  //
                                  -1.07454231, -0.36314407, -1.67105067, 2.26550497})
                          .to(at::kFloat)
                          .reshape({3, 4});
  test::expect_close(stream.draw({3, 4}), want, 1e-6);
}

TEST(NormalStream, PhiloxPlacesCallElementAndSeed) {
  // Each number from its counter, in double precision: {call, 0, element, 0} under the seed's
  // halves.
  const uint64_t seed = (uint64_t{7} << 32) + 5;
  NormalStream stream(Rng::Cuda, seed);
  for (uint32_t call = 0; call < 3; ++call) {
    const Tensor drawn = stream.draw({3, 67});
    for (uint32_t i = 0; i < 201; ++i) {
      const auto words = philox4x32_10({call, 0, i, 0}, {5, 7});
      const double u = (words[0] + 0.5) / 4294967296.0;
      const double v = (words[1] + 0.5) / 4294967296.0;
      const double want = std::sqrt(-2 * std::log(u)) * std::sin(2 * 3.14159265358979323846 * v);
      ASSERT_NEAR(drawn.flatten()[i].item<float>(), want, 3e-6) << call << " " << i;
    }
  }
}

TEST(NormalStream, CudaSkipAndEmptyDraws) {
  NormalStream a(Rng::Cuda, 9);
  NormalStream b(Rng::Cuda, 9);
  a.draw({2, 3});
  a.draw({0, 4});
  b.skip({0, 4});
  b.skip({100});
  EXPECT_TRUE(at::equal(a.draw({5}), b.draw({5})));
}

TEST(NormalStream, CudaIsNormal) {
  const Tensor drawn = NormalStream(Rng::Cuda, 1).draw({400, 1000}).to(at::kDouble);
  EXPECT_NEAR(drawn.mean().item<double>(), 0, 0.006);
  EXPECT_NEAR(drawn.var().item<double>(), 1, 0.01);
  EXPECT_NEAR(drawn.pow(4).mean().item<double>(), 3, 0.06);
}

TEST(NoiseSource, PerImageRowsDependOnTheirSeedAlone) {
  for (const Rng rng : {Rng::Cpu, Rng::Cuda}) {
    NoiseSource batch = NoiseSource::per_image(rng, {5, 6, 7, 8});
    NoiseSource alone = NoiseSource::per_image(rng, {7});
    for (int call = 0; call < 3; ++call) {
      const Tensor many = batch.draw({4, 4, 3, 5});
      EXPECT_TRUE(at::equal(many.slice(0, 2, 3), alone.draw({1, 4, 3, 5})));
      batch.discard({4, 4, 3, 5});  // nothing: only used noise is drawn
    }
    EXPECT_THROW(batch.draw({3, 4, 3, 5}), Error);
  }
}

TEST(NoiseSource, PerBatchGoesOnFromBatchToBatch) {
  for (const Rng rng : {Rng::Cpu, Rng::Cuda}) {
    NormalStream stream(rng, 42);
    NormalStream want(rng, 42);
    NoiseSource first = NoiseSource::per_batch(stream);
    EXPECT_TRUE(at::equal(first.draw({3, 4, 2, 2}), want.draw({3, 4, 2, 2})));
    first.discard({3, 4, 2, 2});
    want.draw({3, 4, 2, 2});
    NoiseSource second = NoiseSource::per_batch(stream);
    EXPECT_TRUE(at::equal(second.draw({2, 4, 2, 2}), want.draw({2, 4, 2, 2})));
  }
}

TEST(Rng, HasNames) {
  EXPECT_EQ(rng_from_name("cpu"), Rng::Cpu);
  EXPECT_EQ(rng_from_name("cuda"), Rng::Cuda);
  EXPECT_THROW(rng_from_name("gpu"), Error);
}

}  // namespace
}  // namespace easel
