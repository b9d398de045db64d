// Files that were made to do harm, or came to harm.
#include <fstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/torch_files.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::error_of;
using test::expect_contains;
using test::file_bytes;
using test::fixture;
using test::floats;
using test::le;
using test::make_archive;
using test::make_zip;
using test::pickle_state;
using test::pickle_str;
using test::pickle_tensor;
using test::read_bytes;
using test::TempDir;
using test::TensorSpec;

TEST(HostileTorchFile, HandMadeArchiveLoads) {
  const TensorFile file = read_bytes(make_archive(pickle_state({})));
  EXPECT_TRUE(at::equal(file.tensors.at("w"), floats(6).reshape({2, 3})));
}

// One file of each format; the tar with a single block at its end.
std::vector<std::string> whole_files() {
  std::string tar = file_bytes(fixture("tar.pt"));
  tar.resize((tar.find_last_not_of('\0') + 511) / 512 * 512 + 512);
  return {make_archive(pickle_state({})), file_bytes(fixture("views_deflated.pt")),
          file_bytes(fixture("views_legacy.pt")), tar};
}

TEST(HostileTorchFile, EveryTruncationIsAnError) {
  const TempDir dir;
  for (const std::string& whole : whole_files()) {
    const auto path = dir.write("cut.pt", whole);
    ASSERT_NO_THROW(read_torch_file(path));
    for (size_t length = whole.size(); length-- > 0;) {
      std::filesystem::resize_file(path, length);
      EXPECT_THROW(read_torch_file(path), Error) << length;
    }
  }
}

void put_byte(const std::filesystem::path& path, size_t at, char byte) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
  file.close();
  ASSERT_TRUE(file.good());
}

TEST(HostileTorchFile, EveryFlippedByteIsReadOrAnError) {
  const TempDir dir;
  for (const std::string& whole : whole_files()) {
    const auto path = dir.write("flipped.pt", whole);
    for (size_t i = 0; i < whole.size(); ++i) {
      for (const char flip : {'\x01', '\xff', '\0'}) {  // the last one mends it
        put_byte(path, i, static_cast<char>(whole[i] ^ flip));
        if (flip == '\0') continue;
        try {
          for (const auto& [name, tensor] : read_torch_file(path).tensors) {
            EXPECT_NO_THROW(tensor.to(at::kComplexDouble).sum()) << name;
          }
        } catch (const Error& error) {
          EXPECT_STRNE(error.what(), "");
        }
      }
    }
    EXPECT_EQ(file_bytes(path), whole);
  }
}

// Flips inside of the pickle with the CRC made right again, so that the machine sees them.
TEST(HostileTorchFile, EveryFlippedByteOfAPickleIsReadOrAnError) {
  const TempDir dir;
  const std::string whole = pickle_state({});
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x07, 0x20, 0x80, 0xff}) {
      std::string pickle = whole;
      pickle[i] = static_cast<char>(pickle[i] ^ flip);
      const auto path = dir.write("flipped.pt", make_archive(pickle));
      try {
        EXPECT_LE(read_torch_file(path).tensors.size(), 2u);
      } catch (const Error& error) {
        EXPECT_STRNE(error.what(), "");
      }
    }
  }
}

TEST(HostileTorchFile, RefusesATensorBeyondItsStorage) {
  const auto error = [](const TensorSpec& spec) {
    return error_of(make_archive(pickle_state(spec)));
  };
  constexpr int64_t kHuge = int64_t{1} << 62;
  expect_contains(error({.offset = 1}), "beyond its storage");
  expect_contains(error({.offset = -1}), "no sense");
  expect_contains(error({.offset = INT64_MAX}), "beyond");
  expect_contains(error({.sizes = {2, 4}}), "beyond");
  expect_contains(error({.sizes = {-2, -3}}), "no sense");
  expect_contains(error({.sizes = {kHuge, kHuge}}), "no sense");
  expect_contains(error({.strides = {-3, 1}}), "no sense");
  expect_contains(error({.strides = {kHuge, kHuge}}), "beyond");
  expect_contains(error({.strides = {INT64_MAX, INT64_MAX}}), "beyond");
  expect_contains(error({.strides = {1}}), "no sense");
  expect_contains(error({.offset = 7, .sizes = {0}, .strides = {1}}), "beyond");
  expect_contains(error({.sizes = {int64_t{1} << 40}, .strides = {0}}), "blow");
  expect_contains(
      error({.sizes = std::vector<int64_t>(65, 1), .strides = std::vector<int64_t>(65, 1)}),
      "65 dimensions");
}

TEST(HostileTorchFile, RefusesAStorageThatIsNotAsStated) {
  const auto error = [](const TensorSpec& spec) {
    return error_of(make_archive(pickle_state(spec)));
  };
  expect_contains(error({.num_items = 7}), "24 bytes");
  expect_contains(error({.num_items = 5}), "24 bytes");
  expect_contains(error({.num_items = -1}), "24 bytes");
  expect_contains(error({.num_items = INT64_MAX}), "24 bytes");
  expect_contains(error({.key = "1"}), "not in the file");
  expect_contains(error({.key = "../data/0"}), "no name inside");
  expect_contains(error({.key = ""}), "no name inside");
  expect_contains(error({.type = "DoubleStorage"}), "items of 8 bytes");
  expect_contains(error({.type = "MadeUpStorage"}), "torch.MadeUpStorage");
  expect_contains(error({.type = "BoolStorage", .num_items = 24}), "bool");
}

TEST(HostileTorchFile, ReadsUnalignedStoragesByCopy) {
  const std::string bytes = file_bytes(fixture("views_legacy.pt"));
  ASSERT_NE((bytes.rfind(le(24, 8)) + 8) % 4, 0u) << "the fixture's storage is aligned by chance";
  const Tensor base = read_torch_file(fixture("views_legacy.pt")).tensors.at("base");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(base.const_data_ptr()) % 4, 0u);
  EXPECT_TRUE(at::equal(base, floats(24).reshape({4, 6})));
}

TEST(HostileTorchFile, RefusesADamagedPickle) {
  std::string bytes = make_archive(pickle_state({}));
  bytes[bytes.find("storage")] = 'S';
  expect_contains(error_of(bytes), "CRC");
}

TEST(HostileTorchFile, RefusesBigEndianAndUnknownVersions) {
  const auto with = [](const std::string& name, const std::string& text) {
    return error_of(make_zip({{"a/data.pkl", pickle_state({})}, {"a/" + name, text}}));
  };
  expect_contains(with("byteorder", "big"), "big");
  expect_contains(with("version", "11"), "version");
  expect_contains(with("version", "x"), "version");
}

TEST(HostileTorchFile, RefusesZipsThatAreNotTorchs) {
  expect_contains(error_of(make_zip({{"a/readme", "hello"}})), "no data.pkl");
  expect_contains(error_of(make_zip({})), "no data.pkl");
  expect_contains(error_of(make_zip({{"a/data.pkl", "N."}, {"b/data.pkl", "N."}})), "two pickles");
}

TEST(HostileTorchFile, NothingIsExecutedAndTheNameIsReported) {
  const std::string call = "cos\nsystem\n" + pickle_str("exit 1") + "\x85R";
  const TensorFile file = read_bytes(make_archive(
      "\x80\x02}(" + pickle_str("w") + pickle_tensor({}) + pickle_str("x") + call + "u."));
  EXPECT_EQ(file.unknown_globals, std::vector<std::string>{"os.system"});
  EXPECT_EQ(file.tensors.size(), 1u);
}

TEST(HostileTorchFile, BillionLaughsAreRefused) {
  // Each dict holds the one before it twice.
  std::string pickle = "\x80\x02}r" + le(0, 4);
  for (uint32_t i = 1; i <= 50; ++i) {
    pickle += "}(" + pickle_str("a") + "j" + le(i - 1, 4) + pickle_str("b") + "j" + le(i - 1, 4) +
              "ur" + le(i, 4);
  }
  expect_contains(error_of(make_archive(pickle + ".")), "more than");
}

TEST(HostileTorchFile, SelfReferencesAndDeepNestingAreRefused) {
  expect_contains(error_of(make_archive("]q\x01h\x01"
                                        "a.")),
                  "contains itself");
  expect_contains(error_of(make_archive("}q\x01" + pickle_str("a") + "h\x01s.")),
                  "contains itself");
  constexpr size_t kDepth = 1'000'000;
  expect_contains(
      error_of(make_archive(std::string(kDepth, ']') + std::string(kDepth - 1, 'a') + ".")),
      "nested");
}

TEST(HostileTorchFile, SelfReferencesBesideTheStateDictDoNoHarm) {
  const TensorFile file =
      read_bytes(make_archive("\x80\x02}(" + pickle_str("state_dict") + "}" + pickle_str("w") +
                              pickle_tensor({}) + "s" + pickle_str("loop") +
                              "]q\x01h\x01"
                              "au."));
  EXPECT_EQ(file.tensors.count("w"), 1u);
}

TEST(HostileTorchFile, LongNamesAndDuplicatesAreRefused) {
  expect_contains(
      error_of(make_archive("}" + pickle_str(std::string(5000, 'n')) + pickle_tensor({}) + "s.")),
      "name has more");
  expect_contains(
      error_of(make_archive("}(" + pickle_str("a.b") + pickle_tensor({}) + pickle_str("a") + "}" +
                            pickle_str("b") + pickle_tensor({}) + "su.")),
      "two tensors");
  expect_contains(error_of(make_archive("}" + pickle_str("\xff") + pickle_tensor({}) + "s.")),
                  "UTF-8");
}

TEST(HostileTorchFile, TheLastOfEqualKeysCounts) {
  const TensorFile file = read_bytes(
      make_archive("}(" + pickle_str("w") + pickle_tensor({.sizes = {6}, .strides = {1}}) +
                   pickle_str("w") + pickle_tensor({.sizes = {1}, .strides = {1}}) + "u."));
  EXPECT_EQ(file.tensors.at("w").numel(), 1);
}

TEST(HostileTorchFile, LongMetadataIsCut) {
  const TensorFile file =
      read_bytes(make_archive("}(" + pickle_str("w") + pickle_tensor({}) + pickle_str("note") +
                              pickle_str(std::string(100'000, 'x')) + "u."));
  EXPECT_LT(file.metadata.at("note").size(), 5000u);
}

TEST(HostileTorchFile, RefusesMalformedRebuilds) {
  const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n";
  expect_contains(error_of(make_archive(rebuild + ")R.")), "arguments");
  expect_contains(error_of(make_archive(rebuild + "(K\x01K\x01K\x01K\x01tR.")), "storage belongs");
  expect_contains(error_of(make_archive("ctorch._utils\n_rebuild_parameter\n(K\x01tR.")),
                  "arguments");
  expect_contains(error_of(make_archive("(" + pickle_str("storage") + "K\x01tQ.")), "no storage");
  expect_contains(error_of(make_archive("K\x01Q.")), "persistent id");
}

TEST(HostileTorchFile, RefusesLegacyStreamsThatLie) {
  const std::string whole = file_bytes(fixture("views_legacy.pt"));
  std::string big_endian = whole;
  const size_t flag = big_endian.find("little_endian");
  big_endian[big_endian.find('\x88', flag)] = '\x89';
  expect_contains(error_of(big_endian), "big-endian");
  const std::string count = le(24, 8);
  ASSERT_NE(whole.rfind(count), whole.npos);
  for (const uint64_t lie : {uint64_t{23}, uint64_t{25}, uint64_t{1} << 62, ~uint64_t{0}}) {
    std::string bytes = whole;
    bytes.replace(bytes.rfind(count), 8, le(lie, 8));
    EXPECT_NE(error_of(bytes), "") << lie;
  }
}

}  // namespace
}  // namespace easel
