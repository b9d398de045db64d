#include "easel/checkpoint/upscaler.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/upscalers.h"

namespace easel {
namespace {

using test::TempDir;
using test::UpscalerCases;

std::string failure(const std::filesystem::path& file) {
  try {
    load_upscaler(file);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Upscaler, MatchesTheReferenceInEveryLayout) {
  const UpscalerCases cases;
  const TempDir folder;
  const at::NoGradGuard no_grad;
  ASSERT_GE(cases.names().size(), 12u);
  for (const std::string& name : cases.names()) {
    const Upscaler upscaler = load_upscaler(cases.write(name, folder / (name + ".safetensors")));
    EXPECT_EQ(upscaler.scale(), name.back() - '0') << name;
    EXPECT_EQ(upscaler.name, name);
    test::expect_close(upscaler.forward(cases.x(name)), cases.y(name), 1e-5, name);
  }
}

TEST(Upscaler, ReadsWhatRealEsrganSaves) {
  const UpscalerCases cases;
  const TempDir folder;
  const at::NoGradGuard no_grad;
  const Tensors plain = cases.tensors("compact_x2");
  Tensors wrapped;
  for (const auto& [name, tensor] : plain) {
    wrapped["params." + name] = tensor * 2;  // the averaged ones are taken
    wrapped["params_ema." + name] = tensor;
  }
  write_torch_file(folder / "both.pth", wrapped, false, IfExists::Refuse);
  const Upscaler upscaler = load_upscaler(folder / "both.pth");
  test::expect_close(upscaler.forward(cases.x("compact_x2")), cases.y("compact_x2"), 1e-5);
}

TEST(Upscaler, RunsInHalfPrecision) {
  const UpscalerCases cases;
  const TempDir folder;
  const at::NoGradGuard no_grad;
  for (const std::string name : {"real_x2", "compact_x4"}) {
    const auto file = cases.write(name, folder / (name + ".safetensors"));
    const Upscaler upscaler = load_upscaler(file, at::kCPU, at::kHalf);
    const Tensor got = upscaler.forward(cases.x(name));
    EXPECT_EQ(got.scalar_type(), at::kHalf);
    test::expect_close(got, cases.y(name), name);
  }
}

TEST(UpscalerFile, ThatIsNoneSaysSo) {
  const UpscalerCases cases;
  const TempDir folder;
  const auto write = [&](const Tensors& tensors) {
    write_safetensors(folder / "x.safetensors", tensors, {}, IfExists::Replace);
    return folder / "x.safetensors";
  };
  EXPECT_NE(failure(folder / "none.pth").find("no such file"), std::string::npos);
  EXPECT_NE(failure(write({{"a", at::zeros({2})}})).find("no upscaler"), std::string::npos);

  Tensors tensors = cases.tensors("real_x4");
  tensors.erase("conv_hr.bias");
  tensors["body.0.rdb1.conv2.weight"] = at::zeros({1, 2, 3, 3});
  tensors["stranger"] = at::zeros({1});
  const std::string text = failure(write(tensors));
  EXPECT_NE(text.find("conv_hr.bias is missing"), std::string::npos) << text;
  EXPECT_NE(text.find("body.0.rdb1.conv2.weight is float32 [1, 2, 3, 3]"), std::string::npos)
      << text;
  EXPECT_NE(text.find("stranger is not known"), std::string::npos) << text;

  tensors = cases.tensors("compact_x4");
  tensors["body.6.weight"] = at::zeros({21, 16, 3, 3});  // no square of pixels a channel
  EXPECT_NE(failure(write(tensors)).find("no upscaler"), std::string::npos);
  // Numbers that would have to be believed.
  tensors = cases.tensors("first_x4");
  tensors["model.99999.weight"] = at::zeros({1});
  EXPECT_FALSE(failure(write(tensors)).empty());
  tensors = cases.tensors("real_x4");
  tensors["body.99999.rdb1.conv1.weight"] = at::zeros({1});
  EXPECT_FALSE(failure(write(tensors)).empty());
}

}  // namespace
}  // namespace easel
