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

std::filesystem::path data(const std::string& name) {
  return std::filesystem::path(EASEL_TEST_DATA "/io") / name;
}

std::string npy(const std::string& dictionary, const std::string& values = "", int version = 1) {
  const auto size = static_cast<unsigned>(dictionary.size());
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += static_cast<char>(size >> (8 * i));
  return bytes + dictionary + values;
}

void expect_refused(const std::string& bytes, const std::string& expected) {
  const TempDir dir;
  const auto path = dir.write("x.npy", bytes);
  const std::string message = message_of<Error>([&] { read_npy(path); });
  EXPECT_NE(message.find(expected), std::string::npos)
      << "expected: " << expected << "\ngot: " << message;
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
}

TEST(Npy, ReadsNumpysFiles) {
  const Tensor expected = at::arange(6, at::kFloat).view({2, 3});
  for (const char* name : {"c_order.npy", "fortran.npy", "version_2.npy", "version_3.npy"}) {
    const Tensor tensor = read_npy(data(name));
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(at::equal(tensor, expected)) << name;
  }
  const std::pair<const char*, at::ScalarType> dtypes[] = {
      {"f8", at::kDouble}, {"f2", at::kHalf}, {"i8", at::kLong}, {"i4", at::kInt},
      {"i2", at::kShort},  {"i1", at::kChar}, {"u1", at::kByte}};
  for (const auto& [name, dtype] : dtypes) {
    EXPECT_TRUE(at::equal(read_npy(data(std::string(name) + ".npy")), expected.to(dtype))) << name;
  }
  EXPECT_TRUE(at::equal(read_npy(data("bool.npy")), at::arange(6).view({2, 3}) % 2 == 0));
  EXPECT_EQ(read_npy(data("scalar.npy")).dim(), 0);
  EXPECT_EQ(read_npy(data("scalar.npy")).item<float>(), 2.5f);
  EXPECT_EQ(read_npy(data("empty.npy")).sizes(), at::IntArrayRef({0, 3}));
  EXPECT_TRUE(at::equal(read_npy(data("vector.npy")), at::arange(3)));
}

TEST(Npy, WritesNumpysBytes) {
  const TempDir dir;
  for (const char* name :
       {"c_order.npy", "f8.npy", "f2.npy", "i8.npy", "i4.npy", "i2.npy", "i1.npy", "u1.npy",
        "bool.npy", "scalar.npy", "empty.npy", "vector.npy"}) {
    write_npy(dir / name, read_npy(data(name)), IfExists::Refuse);
    EXPECT_EQ(file_bytes(dir / name), file_bytes(data(name))) << name;
  }
  write_npy(dir / "from_fortran", read_npy(data("fortran.npy")), IfExists::Refuse);
  EXPECT_EQ(file_bytes(dir / "from_fortran"), file_bytes(data("c_order.npy")));
}

TEST(Npy, RefusesWhatIsNoNumber) {
  const auto message = [](const char* name) {
    return message_of<Error>([&] { read_npy(data(name)); });
  };
  EXPECT_NE(message("big_endian.npy").find("big-endian"), std::string::npos);
  EXPECT_NE(message("objects.npy").find("Python objects"), std::string::npos);
  EXPECT_NE(message("fields.npy").find("several fields"), std::string::npos);
}

constexpr const char* kGood = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";

TEST(Npy, AcceptsOtherSpellings) {
  const TempDir dir;
  for (const char* header :
       {kGood, "{\"shape\":(2L,),\"fortran_order\":True,\"descr\":\"|u1\"}\n",
        "{ 'descr' : '|u1' , 'fortran_order' : False , 'shape' : ( 2 ) }   \n"}) {
    EXPECT_EQ(read_npy(dir.write("x", npy(header, "ab"))).numel(), 2) << header;
  }
}

TEST(Npy, RefusesWrongMagic) { expect_refused("\x93NUMPX\x01", "does not begin as one"); }
TEST(Npy, RefusesUnknownVersion) {
  expect_refused(npy(kGood, "ab", 4), "format version is 4.0");
  expect_refused(npy(kGood, "ab", 0), "format version is 0.0");
}
TEST(Npy, RefusesHugeHeader) {
  expect_refused(npy(std::string(10001, ' ')), "header claims 10001 bytes");
}
TEST(Npy, RefusesTruncation) {
  const TempDir dir;
  const std::string whole = npy(kGood, "ab");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read_npy(dir.write("x", whole.substr(0, size))), Error) << size;
  }
}
TEST(Npy, RefusesTrailingBytes) {
  expect_refused(npy(kGood, "abc"), "takes 2 bytes, but 3 follow");
}
TEST(Npy, RefusesUnknownDtype) {
  expect_refused(npy("{'descr': '<c8', 'fortran_order': False, 'shape': (), }"), "dtype '<c8'");
}
TEST(Npy, RefusesUnknownKeysAndDuplicates) {
  expect_refused(npy("{'x': 1}"), "key 'x'");
  expect_refused(npy("{'shape': (), 'shape': ()}"), "key 'shape' twice");
}
TEST(Npy, RefusesMissingKeys) {
  expect_refused(npy("{}"), "lacks one of the keys");
  expect_refused(npy("{'descr': '<f4', 'shape': ()}"), "lacks one of the keys");
}
TEST(Npy, RefusesMalformedDictionaries) {
  for (const char* header : {"", "[", "{'descr", "{'descr' '<f4'}", "{'fortran_order': true}",
                             "{'descr': '<f4'; }", "{'shape': 2}", "{'shape': (2}"}) {
    expect_refused(npy(header), "malformed");
  }
  expect_refused(npy(std::string(kGood) + "x", "ab"), "something follows");
}
TEST(Npy, RefusesHostileShapes) {
  const auto header = [](const std::string& shape) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }");
  };
  expect_refused(header("(-1,)"), "shape is malformed");
  expect_refused(header("(99999999999999999999,)"), "shape is malformed");
  expect_refused(header("(4294967296, 4294967296)"), "takes too many bytes");
  expect_refused(header("(0, 4294967296, 4294967296)"), "takes too many bytes");
  expect_refused(header("(9223372036854775807,)"), "takes too many bytes");
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1,";
  expect_refused(header(many + ")"), "more than 64 dimensions");
}

TEST(Npy, WriteRefusesWhatNumpyLacks) {
  const TempDir dir;
  const std::string message = message_of<Error>(
      [&] { write_npy(dir / "x", at::ones({1}, at::kBFloat16), IfExists::Refuse); });
  EXPECT_NE(message.find("bfloat16"), std::string::npos) << message;
  EXPECT_THROW(write_npy(dir / "x", Tensor(), IfExists::Refuse), Error);
  EXPECT_EQ(dir.count(), 0u);
}

}  // namespace
}  // namespace easel
