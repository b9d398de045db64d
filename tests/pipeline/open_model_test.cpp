#include "easel/pipeline/open_model.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

TEST(OpenModel, OpensAFileWithItsConfigBesideIt) {
  const test::TempDir folder;
  const auto file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  const auto model = open_model({.model = file,
                                 .config = {},
                                 .default_config = {},
                                 .vocabulary = EASEL_CLIP_VOCABULARY,
                                 .vae = {},
                                 .device = "cpu",
                                 .log = {}});
  const ModelSummary summary = summarize(*model);
  EXPECT_EQ(summary.device, "cpu");
  EXPECT_EQ(summary.dtype, "float32");
  EXPECT_EQ(summary.latent_channels, 4);
  EXPECT_EQ(summary.downsampling, 8);
  EXPECT_NE(summary.name.find("tiny"), std::string::npos);
  EXPECT_EQ(peak_device_memory(*model), 0);
}

TEST(CheckDevice, NamesWhatThereIs) {
  EXPECT_NO_THROW(check_device("cpu", "auto"));
  EXPECT_NO_THROW(check_device("auto", "float16"));
  for (const std::string device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""}) {
    try {
      check_device(device, "auto");
      ADD_FAILURE() << device;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    }
  }
  EXPECT_THROW(check_device("cpu", "int64"), Error);
  EXPECT_THROW(check_device("cpu", "half"), Error);
  EXPECT_THROW(check_device("cuda:99", "auto"), Error);
}

}  // namespace
}  // namespace easel
