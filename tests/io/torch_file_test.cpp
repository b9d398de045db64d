#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"
#include "tests/support/torch_files.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::error_of;
using test::expect_contains;
using test::file_bytes;
using test::fixture;
using test::fixture_error;
using test::floats;
using test::le;
using test::message_of;
using test::TempDir;

void expect_views(const TensorFile& file) {
  const Tensor base = floats(24).reshape({4, 6});
  ASSERT_EQ(file.tensors.size(), 8u);
  const auto& t = file.tensors;
  EXPECT_TRUE(at::equal(t.at("base"), base));
  EXPECT_TRUE(at::equal(t.at("rows"), base.slice(0, 1, 3)));
  EXPECT_TRUE(at::equal(t.at("columns"), base.slice(1, 0, 6, 2)));
  EXPECT_TRUE(at::equal(t.at("transposed"), base.t()));
  EXPECT_TRUE(at::equal(t.at("expanded"), at::ones({3, 4})));
  EXPECT_EQ(t.at("expanded").strides(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(t.at("scalar").dim(), 0);
  EXPECT_EQ(t.at("scalar").item<float>(), 7.5f);
  EXPECT_EQ(t.at("empty").sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_TRUE(at::equal(t.at("parameter"), floats(3)));
  EXPECT_FALSE(t.at("parameter").requires_grad());
  for (const char* view : {"rows", "columns", "transposed"}) {
    EXPECT_TRUE(t.at(view).is_alias_of(t.at("base"))) << view;
  }
}

void expect_lightning(const TensorFile& file) {
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_TRUE(at::equal(file.tensors.at("model.diffusion_model.weight"),
                        at::arange(6, at::kHalf).reshape({2, 3})));
  EXPECT_EQ(file.tensors.at("model_ema.decay").item<float>(), 0.9999f);
  EXPECT_EQ(file.tensors.at("model_ema.num_updates").item<int32_t>(), 470000);
  EXPECT_EQ(file.metadata.at("epoch"), "13");
  EXPECT_EQ(file.metadata.at("global_step"), "470000");
  EXPECT_EQ(file.metadata.at("pytorch-lightning_version"), "1.4.2");
  EXPECT_EQ(file.metadata.at("learning_rate"), "0.0001");
  EXPECT_EQ(file.metadata.at("finished"), "false");
  EXPECT_FALSE(file.metadata.contains("nothing"));
  const std::vector<std::string>& unknown = file.unknown_globals;
  for (const char* name : {"pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
                           "pytorch_lightning.utilities.parsing.AttributeDict",
                           "omegaconf.dictconfig.DictConfig", "argparse.Namespace"}) {
    EXPECT_EQ(std::count(unknown.begin(), unknown.end(), name), 1) << name;
  }
  EXPECT_TRUE(std::is_sorted(unknown.begin(), unknown.end()));
}

// Reading.

TEST(TorchFile, ReadsEveryDtype) {
  const TensorFile file = read_torch_file(fixture("dtypes.pt"));
  EXPECT_EQ(file.format, "torch zip");
  const Tensor expected = at::arange(6).reshape({2, 3});
  const std::map<std::string, at::ScalarType> dtypes{{"float32", at::kFloat},
                                                     {"float16", at::kHalf},
                                                     {"bfloat16", at::kBFloat16},
                                                     {"float64", at::kDouble},
                                                     {"int64", at::kLong},
                                                     {"int32", at::kInt},
                                                     {"int16", at::kShort},
                                                     {"int8", at::kChar},
                                                     {"uint8", at::kByte},
                                                     {"bool", at::kBool},
                                                     {"complex64", at::kComplexFloat},
                                                     {"float8_e4m3fn", at::kFloat8_e4m3fn},
                                                     {"float8_e5m2", at::kFloat8_e5m2},
                                                     {"uint16", at::kUInt16}};
  ASSERT_EQ(file.tensors.size(), dtypes.size());
  for (const auto& [name, dtype] : dtypes) {
    const Tensor& tensor = file.tensors.at(name);
    ASSERT_EQ(tensor.scalar_type(), dtype) << name;
    const Tensor real = tensor.is_complex() ? at::real(tensor) : tensor;
    const Tensor wanted = dtype == at::kBool ? expected.gt(0) : expected;
    EXPECT_TRUE(at::equal(real.to(at::kDouble), wanted.to(at::kDouble))) << name;
  }
  EXPECT_TRUE(file.unknown_globals.empty());
}

TEST(TorchFile, ReadsViewsOfAllFormatsAndProtocols) {
  for (const char* name : {"views.pt", "views_protocol1.pt", "views_protocol4.pt",
                           "views_legacy.pt", "views_deflated.pt"}) {
    SCOPED_TRACE(name);
    expect_views(read_torch_file(fixture(name)));
  }
  EXPECT_EQ(read_torch_file(fixture("views_legacy.pt")).format, "torch legacy");
}

TEST(TorchFile, ReadsALightningCheckpoint) {
  for (const char* name : {"lightning.ckpt", "lightning_legacy.ckpt", "lightning_protocol5.ckpt"}) {
    SCOPED_TRACE(name);
    expect_lightning(read_torch_file(fixture(name)));
  }
}

TEST(TorchFile, ReadsATar) {
  const TensorFile file = read_torch_file(fixture("tar.pt"));
  EXPECT_EQ(file.format, "torch legacy");
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_TRUE(at::equal(file.tensors.at("whole"), floats(12).reshape({3, 4})));
  EXPECT_TRUE(at::equal(file.tensors.at("view"), floats(12).as_strided({2, 2}, {1, 2}, 5)));
  EXPECT_TRUE(at::equal(file.tensors.at("numbers"), at::tensor({3, 1, 4, 1, 5}, at::kLong)));
  EXPECT_TRUE(file.tensors.at("view").is_alias_of(file.tensors.at("whole")));
}

TEST(TorchFile, ReadsBareTensorsListsAndNestedDicts) {
  EXPECT_TRUE(at::equal(read_torch_file(fixture("bare.pt")).tensors.at("tensor"), at::arange(3)));
  const TensorFile list = read_torch_file(fixture("list.pt"));
  ASSERT_EQ(list.tensors.size(), 2u);
  EXPECT_TRUE(at::equal(list.tensors.at("0"), at::arange(3)));
  EXPECT_TRUE(at::equal(list.tensors.at("1.0"), at::arange(2)));
  const TensorFile embedding = read_torch_file(fixture("embedding.pt"));
  EXPECT_TRUE(at::equal(embedding.tensors.at("string_to_param.*"), at::ones({1, 4})));
  EXPECT_EQ(embedding.metadata.at("step"), "7");
}

TEST(TorchFile, StoredTensorsOutliveTheFileAndAreNotCopied) {
  const TempDir dir;
  const auto path = dir.write("a.pt", file_bytes(fixture("views.pt")));
  const TensorFile file = read_torch_file(path);
  std::filesystem::remove(path);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensors.at("base").const_data_ptr()) % 64, 0u);
  expect_views(file);
}

TEST(TorchFile, SaysWhatCannotBeRead) {
  expect_contains(fixture_error("quantised.pt"), "_rebuild_qtensor");
  expect_contains(fixture_error("quantised.pt"), "'w'");
  expect_contains(fixture_error("sparse.pt"), "_rebuild_sparse_tensor");
  expect_contains(fixture_error("no_tensors.pt"), "no tensor");
  expect_contains(fixture_error("whole_module.pt"), "mymodels.net.Net");
  expect_contains(fixture_error("torchscript.pt"), "TorchScript");
  expect_contains(error_of("<html></html>"), "HTML");
  expect_contains(error_of(""), "test.pt");
  expect_contains(error_of("\x80\x02K\x01."), "magic number");
}

// Writing.

std::map<std::string, Tensor> sample() {
  const Tensor base = floats(24).reshape({4, 6});
  return {{"base", base},
          {"rows", base.slice(0, 1, 3)},
          {"transposed", base.t()},
          {"half", floats(5).to(at::kHalf)},
          {"float8", floats(5).to(at::kFloat8_e4m3fn)},
          {"scalar", at::scalar_tensor(7.5)},
          {"empty", at::empty({0, 3})},
          {"long", at::arange(3)}};
}

TEST(TorchFile, RoundTripIsExact) {
  const TempDir dir;
  for (const bool wrap : {false, true}) {
    const auto path = dir / (wrap ? "wrapped.ckpt" : "plain.pt");
    write_torch_file(path, sample(), wrap, IfExists::Refuse);
    const TensorFile file = read_torch_file(path);
    ASSERT_EQ(file.tensors.size(), sample().size());
    for (const auto& [name, tensor] : sample()) {
      const Tensor& read = file.tensors.at(name);
      ASSERT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
      EXPECT_EQ(read.strides(), tensor.strides()) << name;
      EXPECT_TRUE(at::equal(read.to(at::kDouble), tensor.to(at::kDouble))) << name;
    }
    EXPECT_TRUE(file.tensors.at("rows").is_alias_of(file.tensors.at("base")));
    EXPECT_TRUE(file.tensors.at("transposed").is_alias_of(file.tensors.at("base")));
  }
}

TEST(TorchFile, ViewsAreWrittenWithoutTheRestOfTheirStorage) {
  const TempDir dir;
  const Tensor large = floats(1'000'000).reshape({1000, 1000});
  const std::map<std::string, Tensor> rows{{"row", large[7]}, {"other", large[9]}};
  const std::map<std::string, Tensor> column{{"column", large.select(1, 3)}};
  for (const auto& views : {rows, column}) {
    write_torch_file(dir / "a.pt", views, false, IfExists::Replace);
    EXPECT_LT(std::filesystem::file_size(dir / "a.pt"), 20'000u);
    const TensorFile file = read_torch_file(dir / "a.pt");
    for (const auto& [name, view] : views) EXPECT_TRUE(at::equal(file.tensors.at(name), view));
  }
}

TEST(TorchFile, WritingIsDeterministicAndRefusesToReplace) {
  const TempDir dir;
  write_torch_file(dir / "a.pt", sample(), false, IfExists::Refuse);
  write_torch_file(dir / "b.pt", sample(), false, IfExists::Refuse);
  EXPECT_EQ(file_bytes(dir / "a.pt"), file_bytes(dir / "b.pt"));
  EXPECT_THROW(write_torch_file(dir / "a.pt", sample(), true, IfExists::Refuse), Error);
  EXPECT_EQ(file_bytes(dir / "a.pt"), file_bytes(dir / "b.pt"));
}

TEST(TorchFile, RefusesToWriteWhatItCannot) {
  const TempDir dir;
  const auto error = [&](const std::string& name, const Tensor& tensor) {
    return message_of<Error>([&] {
      write_torch_file(dir / "a.pt", {{name, tensor}}, false, IfExists::Replace);
    });
  };
  expect_contains(error("s", at::eye(2).to_sparse()), "dense");
  expect_contains(error("u", Tensor()), "undefined");
  expect_contains(error("\xff", at::eye(2)), "UTF-8");
  EXPECT_EQ(dir.count(), 0u);
}

}  // namespace
}  // namespace easel
