#include "easel/train/latent_cache.h"

#include <atomic>
#include <memory>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/models/initialize.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

Autoencoder small_autoencoder(uint64_t seed) {
  AutoencoderConfig config;
  config.ch = 8;
  config.ch_mult = {1, 2};
  config.num_res_blocks = 1;
  config.resolution = 16;
  config.norm_num_groups = 4;
  Autoencoder autoencoder(config);
  initialize(autoencoder, seed);
  return autoencoder;
}

// Pictures that differ, and how often one was loaded.
struct Pictures {
  int64_t count = 5;
  int64_t damaged = -1;
  int64_t odd_one = -1;
  std::shared_ptr<std::atomic<int>> loads = std::make_shared<std::atomic<int>>(0);

  Dataset dataset() const {
    Dataset data;
    data.size = count;
    data.load = [*this](int64_t index, uint64_t) {
      ++*loads;
      if (index == damaged) fail("picture {} is damaged", index);
      const int64_t side = index == odd_one ? 8 : 16;
      const Tensor ramp = at::linspace(-1, 1, 3 * side * side).view({3, side, side});
      return Example{.picture_CHW = at::sin(ramp * static_cast<double>(index + 1)), .caption = ""};
    };
    data.caption = [](int64_t, uint64_t) { return std::string(); };
    data.name = [](int64_t index) { return fmt::format("{}.png", index); };
    return data;
  }
};

class LatentCacheTest : public ::testing::Test {
 protected:
  LatentCacheOptions options() const {
    return {.path = folder.path() / "sub" / "latents.safetensors",
            .key = "size=16",
            .batch_size = 2,
            .num_workers = 0};
  }
  test::TempDir folder;
  Autoencoder autoencoder = small_autoencoder(1);
};

TEST_F(LatentCacheTest, HoldsWhatTheEncoderGives) {
  const Dataset data = Pictures{}.dataset();
  const LatentCache cache = make_latent_cache(data, autoencoder, options());
  ASSERT_EQ(cache.size(), 5);
  EXPECT_TRUE(cache.bad().empty());
  const Posterior cached = cache.at({4, 0});
  const Posterior own =
      autoencoder.encode(at::stack({data.load(4, 0).picture_CHW, data.load(0, 0).picture_CHW}));
  EXPECT_EQ(cached.mean_BCHW.scalar_type(), at::kFloat);
  // Half precision has 11 bits.
  test::expect_close(cached.mean_BCHW, own.mean_BCHW, 1e-3, "means");
  test::expect_close(cached.logvar_BCHW, own.logvar_BCHW, 1e-3, "log-variances");
}

TEST_F(LatentCacheTest, IsReadAgainInsteadOfMade) {
  const Pictures pictures;
  const LatentCache first = make_latent_cache(pictures.dataset(), autoencoder, options());
  const int loads = *pictures.loads;
  const LatentCache second = make_latent_cache(pictures.dataset(), autoencoder, options());
  EXPECT_EQ(*pictures.loads, loads);
  EXPECT_TRUE(at::equal(first.at({0, 1, 2, 3, 4}).mean_BCHW, second.at({0, 1, 2, 3, 4}).mean_BCHW));
}

TEST_F(LatentCacheTest, IsMadeAnewForOtherWeightsPicturesOrOptions) {
  const Pictures pictures;
  const auto made = [&](const Pictures& what, const Autoencoder& encoder, const std::string& key) {
    const int before = *what.loads;
    LatentCacheOptions changed = options();
    changed.key = key;
    make_latent_cache(what.dataset(), encoder, changed);
    return *what.loads > before;
  };
  EXPECT_TRUE(made(pictures, autoencoder, "size=16"));
  EXPECT_FALSE(made(pictures, autoencoder, "size=16"));
  EXPECT_TRUE(made(pictures, small_autoencoder(2), "size=16"));
  EXPECT_TRUE(made(pictures, small_autoencoder(2), "size=32"));
  EXPECT_TRUE(made(Pictures{.count = 4}, small_autoencoder(2), "size=32"));
}

TEST_F(LatentCacheTest, NamesDamagedPicturesNowAndWhenReadAgain) {
  const Pictures pictures{.damaged = 3};
  EXPECT_EQ(make_latent_cache(pictures.dataset(), autoencoder, options()).bad(),
            std::vector<int64_t>{3});
  EXPECT_EQ(make_latent_cache(pictures.dataset(), autoencoder, options()).bad(),
            std::vector<int64_t>{3});
}

TEST_F(LatentCacheTest, RefusesWhatItCannotKeep) {
  const auto error_of = [&](const Pictures& pictures) {
    try {
      make_latent_cache(pictures.dataset(), autoencoder, options());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(error_of({.odd_one = 4}).find("size"), std::string::npos);
  EXPECT_FALSE(fs::exists(options().path));

  make_latent_cache(Pictures{}.dataset(), autoencoder, options());
  fs::resize_file(options().path, fs::file_size(options().path) - 10);
  const std::string cut = error_of({});
  EXPECT_NE(cut.find("delete this cache"), std::string::npos) << cut;

  write_safetensors(options().path, {{"weight", at::zeros({2})}}, {}, IfExists::Replace);
  const std::string other = error_of({});
  EXPECT_NE(other.find("is no cache of latents"), std::string::npos) << other;
}

TEST_F(LatentCacheTest, CancelledWorkLeavesNoFile) {
  LatentCacheOptions cancelled = options();
  cancelled.progress = [](int64_t done, int64_t) {
    if (done >= 2) throw Error("cancelled", ErrorKind::Interrupted);
  };
  EXPECT_THROW(make_latent_cache(Pictures{}.dataset(), autoencoder, cancelled), Error);
  EXPECT_FALSE(fs::exists(options().path));
}

}  // namespace
}  // namespace easel
