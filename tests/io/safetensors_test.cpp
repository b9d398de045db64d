#include <cstdint>
#include <cstring>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::file_bytes;
using test::message_of;
using test::TempDir;

std::string with_length(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

// The message that reading a file of these bytes gives.
std::string message_for(const std::string& bytes) {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", bytes);
  const std::string message = message_of<Error>([&] { read_safetensors(path); });
  EXPECT_TRUE(message.empty() || message.find(path.string()) != std::string::npos) << message;
  return message;
}

void expect_refused(const std::string& bytes, const std::string& expected) {
  const std::string message = message_for(bytes);
  EXPECT_NE(message.find(expected), std::string::npos)
      << "expected: " << expected << "\ngot: " << message;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}

TEST(Safetensors, ReadsThePackagesOwnFile) {
  const TensorFile file = read_safetensors(EASEL_TEST_DATA "/io/reference.safetensors");
  EXPECT_EQ(file.format, "safetensors");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"quote", "a \"b\"\n"}}));
  EXPECT_EQ(file.tensors.size(), 15u);
  const Tensor expected = at::arange(6).view({2, 3});
  for (const char* name : {"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16",
                           "int8", "uint8", "float8_e4m3fn", "float8_e5m2"}) {
    const Tensor& tensor = file.tensors.at(name);
    EXPECT_EQ(dtype_name(tensor.scalar_type()), name);
    EXPECT_TRUE(at::equal(tensor.to(at::kLong), expected)) << name;
  }
  EXPECT_TRUE(at::equal(file.tensors.at("bool"), at::tensor({1, 0, 1}).to(at::kBool)));
  EXPECT_EQ(file.tensors.at("scalar").dim(), 0);
  EXPECT_EQ(file.tensors.at("scalar").item<float>(), 2.5f);
  EXPECT_EQ(file.tensors.at("empty").sizes(), at::IntArrayRef({0, 3}));
  EXPECT_EQ(file.tensors.at("caf\xc3\xa9").item<float>(), 1.0f);
}

TEST(Safetensors, WritesThePackagesOwnBytes) {
  const TempDir dir;
  const auto reference = EASEL_TEST_DATA "/io/reference.safetensors";
  const TensorFile file = read_safetensors(reference);
  write_safetensors(dir / "a.safetensors", file.tensors, file.metadata, IfExists::Refuse);
  EXPECT_EQ(file_bytes(dir / "a.safetensors"), file_bytes(reference));
}

TEST(Safetensors, RoundTripsEveryDtypeAndLayout) {
  const TempDir dir;
  const Tensor base = at::arange(24).view({2, 3, 4});
  std::map<std::string, Tensor> tensors{
      {"transposed", base.to(at::kFloat).transpose(0, 2)},
      {"strided", base.to(at::kHalf).slice(2, 0, 4, 2)},
      {"expanded", at::ones({1, 3}, at::kDouble).expand({5, 3})},
      {"scalar", at::scalar_tensor(3, at::kInt)},
      {"empty", at::empty({4, 0}, at::kBFloat16)},
      {"flag", at::ones({3}, at::kBool)},
      {"odd", at::arange(3).to(at::kByte)},
      {"q\"\\\n", at::zeros({1}, at::kChar)},
  };
  write_safetensors(dir / "a.safetensors", tensors, {{"a", "b"}, {"", ""}}, IfExists::Refuse);
  const TensorFile file = read_safetensors(dir / "a.safetensors");
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const Tensor& got = file.tensors.at(name);
    EXPECT_EQ(got.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(got, tensor)) << name;
  }
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"a", "b"}, {"", ""}}));
}

TEST(Safetensors, WritesTheSameBytesTwice) {
  const TempDir dir;
  const std::map<std::string, Tensor> tensors{{"b", at::ones({2})},
                                              {"a", at::zeros({3}, at::kByte)}};
  write_safetensors(dir / "1", tensors, {{"x", "1"}, {"a", "2"}}, IfExists::Refuse);
  write_safetensors(dir / "2", tensors, {{"x", "1"}, {"a", "2"}}, IfExists::Refuse);
  EXPECT_EQ(file_bytes(dir / "1"), file_bytes(dir / "2"));
}

TEST(Safetensors, TensorsOutliveTheFileAndShareItsMemory) {
  Tensor kept;
  {
    const TempDir dir;
    write_safetensors(dir / "a", {{"t", at::arange(1000, at::kFloat)}, {"u", at::ones({8})}}, {},
                      IfExists::Refuse);
    const TensorFile file = read_safetensors(dir / "a");
    kept = file.tensors.at("t");
    const auto distance = static_cast<const char*>(file.tensors.at("u").const_data_ptr()) -
                          static_cast<const char*>(kept.const_data_ptr());
    EXPECT_EQ(distance, 4000);  // neighbours in one mapping: nothing was copied
  }
  EXPECT_TRUE(at::equal(kept, at::arange(1000, at::kFloat)));
}

TEST(Safetensors, CopiesMisalignedTensors) {
  const TempDir dir;
  const std::string header =
      "{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("b", "F32", "[1]", "[1,5]") + "}";
  const float value = 1.5f;
  std::string data(5, '\x07');
  std::memcpy(data.data() + 1, &value, 4);
  const auto path = dir.write("a", with_length(header, data));
  const Tensor b = read_safetensors(path).tensors.at("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.const_data_ptr()) % 4, 0u);
  EXPECT_EQ(b.item<float>(), 1.5f);
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(message_for(with_length("{}")), "");
  EXPECT_EQ(message_for(with_length("{}      ")), "");
  EXPECT_EQ(message_for(with_length(R"({"__metadata__":{}})")), "");
  EXPECT_EQ(message_for(with_length("{" + entry("a", "F32", "[0,9]", "[0,0]") + "," +
                                        entry("b", "U8", "[2]", "[0,2]") + "," +
                                        entry("c", "F16", "[0]", "[2,2]") + "}",
                                    "xy")),
            "");
}

TEST(Safetensors, RefusesEmptyFile) { expect_refused("", "0 bytes"); }
TEST(Safetensors, RefusesShortLength) { expect_refused("1234567", "7 bytes"); }
TEST(Safetensors, RefusesHeaderBeyondFile) {
  expect_refused(with_length("{}").substr(0, 9), "its header claims 2 bytes, but 1 follow");
}
TEST(Safetensors, RefusesHugeHeader) {
  expect_refused(std::string(8, '\xff') + "{}", "more than the 100000000 that are allowed");
}
TEST(Safetensors, RefusesHeaderThatIsNoJson) {
  expect_refused(with_length("{hello}"), "not valid JSON at byte");
}
TEST(Safetensors, RefusesHeaderThatIsNoObject) {
  expect_refused(with_length("[]"), "does not begin with '{'");
  expect_refused(with_length(" {}"), "does not begin with '{'");
  expect_refused(with_length(""), "does not begin with '{'");
}
TEST(Safetensors, RefusesTextAfterTheObject) {
  expect_refused(with_length("{}x"), "not valid JSON");
  expect_refused(with_length("{}{}"), "not valid JSON");
}
TEST(Safetensors, RefusesUnclosedObject) { expect_refused(with_length("{"), "not valid JSON"); }
TEST(Safetensors, RefusesNulBytes) {
  expect_refused(with_length(std::string("{}\0\0", 4)), "NUL byte");
}
TEST(Safetensors, RefusesInvalidUtf8) {
  expect_refused(with_length("{" + entry("\xff", "U8", "[0]", "[0,0]") + "}"), "not valid JSON");
}
TEST(Safetensors, RefusesDuplicateNames) {
  const std::string one = entry("a", "U8", "[1]", "[0,1]");
  expect_refused(with_length("{" + one + "," + one + "}", "x"), "the name 'a' occurs twice");
  expect_refused(with_length(R"({"__metadata__":{},"__metadata__":{}})"), "occurs twice");
  expect_refused(with_length(R"({"__metadata__":{"k":"1","k":"2"}})"), "'k' occurs twice");
  expect_refused(
      with_length(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
      "the field 'dtype' twice");
}
TEST(Safetensors, RefusesUnknownFields) {
  expect_refused(with_length(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})"),
                 "unknown field 'x'");
}
TEST(Safetensors, RefusesMissingFields) {
  expect_refused(with_length(R"({"a":{"dtype":"U8","shape":[0]}})"), "no field 'data_offsets'");
  expect_refused(with_length(R"({"a":{"shape":[0],"data_offsets":[0,0]}})"), "no field 'dtype'");
  expect_refused(with_length(R"({"a":{}})"), "no field");
}
TEST(Safetensors, RefusesWrongTypes) {
  expect_refused(with_length(R"({"a":1})"), "'a' is a number");
  expect_refused(with_length(R"({"a":null})"), "'a' is a null");
  expect_refused(with_length(R"({"a":{"dtype":5}})"), "holds a number");
  expect_refused(with_length(R"({"a":{"shape":"x"}})"), "holds a string");
  expect_refused(with_length(R"({"a":{"shape":[[1]]}})"), "holds an array");
  expect_refused(with_length(R"({"a":{"shape":[true]}})"), "holds a boolean");
  expect_refused(with_length(R"({"__metadata__":{"k":1}})"), "not a string");
  expect_refused(with_length(R"({"__metadata__":{"k":{}}})"), "not a string");
}
TEST(Safetensors, RefusesUnknownDtype) {
  expect_refused(with_length("{" + entry("a", "F7", "[0]", "[0,0]") + "}"), "dtype 'F7'");
}
TEST(Safetensors, RefusesNegativeAndFractionalNumbers) {
  expect_refused(with_length("{" + entry("a", "U8", "[-1]", "[0,1]") + "}", "x"),
                 "negative number -1");
  expect_refused(with_length("{" + entry("a", "U8", "[1.5]", "[0,1]") + "}", "x"), "'1.5'");
  expect_refused(with_length("{" + entry("a", "U8", "[1e300]", "[0,1]") + "}", "x"), "'1e300'");
  expect_refused(with_length("{" + entry("a", "U8", "[99999999999999999999]", "[0,1]") + "}", "x"),
                 "no whole number of 64 bits");
  expect_refused(with_length("{" + entry("a", "U8", "[18446744073709551615]", "[0,1]") + "}", "x"),
                 "a dimension of 18446744073709551615");
}
TEST(Safetensors, RefusesOverflowingShape) {
  expect_refused(with_length("{" + entry("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}"),
                 "larger than any memory");
  expect_refused(
      with_length("{" + entry("a", "F32", "[0,4294967296,4294967296,4294967296]", "[0,0]") + "}"),
      "larger than any memory");
}
TEST(Safetensors, RefusesTooManyDimensions) {
  std::string shape = "[1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  expect_refused(with_length("{" + entry("a", "U8", shape + "]", "[0,1]") + "}", "x"),
                 "more than 64 dimensions");
}
TEST(Safetensors, RefusesWrongNumberOfOffsets) {
  expect_refused(with_length("{" + entry("a", "U8", "[1]", "[0]") + "}", "x"), "not two offsets");
  expect_refused(with_length("{" + entry("a", "U8", "[1]", "[0,1,2]") + "}", "x"),
                 "more than two offsets");
}
TEST(Safetensors, RefusesOffsetsBackwards) {
  expect_refused(with_length("{" + entry("a", "U8", "[1]", "[1,0]") + "}", "x"),
                 "before its start");
}
TEST(Safetensors, RefusesOffsetsThatDoNotMatchTheShape) {
  expect_refused(with_length("{" + entry("a", "F32", "[1]", "[0,2]") + "}", "xy"),
                 "takes 4 bytes, but its offsets span 2");
}
TEST(Safetensors, RefusesTruncatedData) {
  expect_refused(with_length("{" + entry("a", "F32", "[2]", "[0,8]") + "}", "1234567"),
                 "truncated");
}
TEST(Safetensors, RefusesTrailingData) {
  expect_refused(with_length("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "xyz"),
                 "2 bytes of data at the end");
  expect_refused(with_length("{}", "x"), "1 bytes of data at the end");
}
TEST(Safetensors, RefusesHoles) {
  expect_refused(with_length("{" + entry("a", "U8", "[1]", "[1,2]") + "}", "xy"), "hole");
  expect_refused(with_length("{" + entry("a", "U8", "[0]", "[1,1]") + "," +
                                 entry("b", "U8", "[2]", "[0,2]") + "}",
                             "xy"),
                 "overlaps");
}
TEST(Safetensors, RefusesOverlaps) {
  expect_refused(with_length("{" + entry("a", "U8", "[2]", "[0,2]") + "," +
                                 entry("b", "U8", "[2]", "[1,3]") + "}",
                             "xyz"),
                 "overlaps");
}
TEST(Safetensors, RefusesBoolsThatAreNone) {
  expect_refused(with_length("{" + entry("a", "BOOL", "[2]", "[0,2]") + "}", "\x01\x02"),
                 "bytes other than 0 and 1");
}
TEST(Safetensors, RefusesDeepNesting) {
  expect_refused(with_length("{\"a\":" + std::string(10'000'000, '[')), "is an array");
  expect_refused(with_length("{" + entry("a", "U8", std::string(1'000'000, '['), "0") + "}"),
                 "holds an array");
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = file_bytes(EASEL_TEST_DATA "/io/reference.safetensors");
  const TempDir dir;
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto path = dir.write("t", whole.substr(0, size));
    EXPECT_THROW(read_safetensors(path), Error) << size;
  }
}

TEST(Safetensors, EveryDamagedHeaderByteIsReadOrRefused) {
  const std::string whole = file_bytes(EASEL_TEST_DATA "/io/reference.safetensors");
  const TempDir dir;
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  size_t refused = 0;
  for (size_t i = 0; i < 8 + length; ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    const auto path = dir.write("t", damaged);
    if (!message_of<Error>([&] { read_safetensors(path); }).empty()) ++refused;
  }
  EXPECT_GT(refused, length / 3);  // what remains are names and metadata
}

TEST(Safetensors, WriteRefusesWhatTheFormatCannotHold) {
  const TempDir dir;
  const auto message = [&](std::map<std::string, Tensor> tensors,
                           std::map<std::string, std::string> metadata = {}) {
    return message_of<Error>(
        [&] { write_safetensors(dir / "x", tensors, metadata, IfExists::Refuse); });
  };
  EXPECT_NE(message({{"__metadata__", at::ones({1})}}).find("__metadata__"), std::string::npos);
  EXPECT_NE(message({{"a", Tensor()}}).find("undefined"), std::string::npos);
  EXPECT_NE(message({{"a", at::ones({1}, at::kComplexFloat)}}).find("complex64"),
            std::string::npos);
  EXPECT_NE(message({{"a", at::ones({2, 2}).to_sparse()}}).find("not dense"), std::string::npos);
  EXPECT_NE(message({{"\xff", at::ones({1})}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(message({}, {{"k", "\xff"}}).find("UTF-8"), std::string::npos);
  EXPECT_EQ(dir.count(), 0u);
}

}  // namespace
}  // namespace easel
