#include "easel/io/tensor_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::message_of;
using test::TempDir;

TEST(TensorFile, IsReadByItsFirstBytesNotItsName) {
  const TempDir dir;
  write_safetensors(dir / "a.ckpt", {{"t", at::ones({2})}}, {{"k", "v"}}, IfExists::Refuse);
  const TensorFile safetensors = read_tensor_file(dir / "a.ckpt");
  EXPECT_EQ(safetensors.format, "safetensors");
  EXPECT_EQ(safetensors.metadata.at("k"), "v");

  write_npy(dir / "a.safetensors", at::arange(3), IfExists::Refuse);
  const TensorFile npy = read_tensor_file(dir / "a.safetensors");
  EXPECT_EQ(npy.format, "npy");
  EXPECT_TRUE(at::equal(npy.tensors.at("array"), at::arange(3)));
}

TEST(TensorFile, SafetensorsLengthThatLooksLikeAPickle) {
  const TempDir dir;
  // A header of 0x0280 bytes begins with 80 02, as a pickle of protocol 2 does.
  std::string bytes(8 + 0x0280, ' ');
  bytes.replace(0, 10, "\x80\x02\0\0\0\0\0\0{}"s);
  EXPECT_EQ(read_tensor_file(dir.write("a", bytes)).format, "safetensors");
}

TEST(TensorFile, TruncatedSafetensorsIsNamedAsOne) {
  const TempDir dir;
  const auto path = dir.write("a", "\x20\0\0\0\0\0\0\0{\"a\""s);
  const std::string message = message_of<Error>([&] { read_tensor_file(path); });
  EXPECT_NE(message.find("no valid safetensors file"), std::string::npos) << message;
}

TEST(TensorFile, SaysWhatTheFileSeemsToBe) {
  const TempDir dir;
  const std::pair<std::string, const char*> cases[] = {
      {"", "empty"},
      {"<!DOCTYPE html><html>", "an HTML page"},
      {"\n\n  <html>", "an HTML page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"},
      {"\x89PNG\r\n\x1a\n"s, "a PNG picture"},
      {"\xff\xd8\xff\xe0"s, "a JPEG picture"},
      {"RIFF\0\0\0\0WEBPVP8 "s, "a WebP picture"},
      {"GGUF\x03\0\0\0"s, "a GGUF model"},
      {"\x08\x07\x12\x07pytorch"s, "an ONNX model"},
      {"\x89HDF\r\n\x1a\n"s, "an HDF5 file"},
      {"\x1f\x8b\x08"s, "gzip-compressed"},
      {"\xfd"
       "7zXZ\0"s,
       "xz-compressed"},
      {"{\"error\": \"not found\"}", "a JSON document"},
      {"Entry not found", "a text file"},
      {std::string(64, '\0'), "all zeros"},
  };
  for (const auto& [bytes, meaning] : cases) {
    const auto path = dir.write("model.ckpt", bytes);
    const std::string message = message_of<Error>([&] { read_tensor_file(path); });
    EXPECT_NE(message.find("it seems to be "s + meaning), std::string::npos) << message;
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  }
  const std::string unknown =
      message_of<Error>([&] { read_tensor_file(dir.write("model.ckpt", "\x01\xfe\x03\x9c"s)); });
  EXPECT_NE(unknown.find("holds no tensors that can be read"), std::string::npos) << unknown;
  EXPECT_EQ(unknown.find("seems to be"), std::string::npos) << unknown;
}

TEST(TensorFile, MissingFileAndFolder) {
  const TempDir dir;
  EXPECT_NE(message_of<Error>([&] { read_tensor_file(dir / "none"); }).find("No such file"),
            std::string::npos);
  EXPECT_NE(message_of<Error>([&] { read_tensor_file(dir.path()); }).find("it is a folder"),
            std::string::npos);
}

}  // namespace
}  // namespace easel
