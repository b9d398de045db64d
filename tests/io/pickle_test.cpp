#include "src/io/pickle.h"

#include <string>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "src/io/pickle_text.h"
#include "src/io/torch_tensors.h"
#include "tests/support/temp_dir.h"
#include "tests/support/torch_archive.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::le;
using test::message_of;
using test::pickle_int;
using test::pickle_str;

Pickle read(const std::string& bytes) {
  Cursor in(std::as_bytes(std::span(bytes.data(), bytes.size())), "the pickle");
  return read_pickle(in);
}

template <class T>
T root(const std::string& bytes) {
  const Pickle pickle = read(bytes);
  const T* value = pickle.get<T>(pickle.root);
  if (value == nullptr) throw Error("the root is " + pickle_kind(pickle[pickle.root]));
  return *value;
}

std::string error_of(const std::string& bytes) {
  return message_of<Error>([&] { read(bytes); });
}

TEST(Pickle, ReadsNumbersOfAllProtocols) {
  EXPECT_EQ(root<int64_t>("K\xff."), 255);
  EXPECT_EQ(root<int64_t>("M\xff\xff."), 65535);
  EXPECT_EQ(root<int64_t>("J\xfe\xff\xff\xff."), -2);
  EXPECT_EQ(root<int64_t>("\x8a\x00."s), 0);
  EXPECT_EQ(root<int64_t>("\x8a\x01\x80."s), -128);
  EXPECT_EQ(root<int64_t>("\x8a\x08"s + le(1ULL << 63, 8) + "."), INT64_MIN);
  EXPECT_EQ(root<int64_t>("\x8b\x02\x00\x00\x00\x00\x01."s), 256);
  EXPECT_EQ(root<int64_t>("I-7\n."), -7);
  EXPECT_EQ(root<int64_t>("L123L\n."), 123);
  EXPECT_TRUE(root<bool>("I01\n."));
  EXPECT_FALSE(root<bool>("I00\n."));
  EXPECT_TRUE(root<bool>("\x88."));
  EXPECT_EQ(root<double>("F-1.5\n."), -1.5);
  EXPECT_EQ(root<double>("G\x3f\xf8\x00\x00\x00\x00\x00\x00."s), 1.5);
}

TEST(Pickle, KeepsLargeIntsOpaque) {
  EXPECT_EQ(root<PickleBigInt>("\x8a\x09"s + le(0, 8) + "\x01.").little_endian.size(), 9u);
  EXPECT_EQ(root<PickleOpaque>("L99999999999999999999999L\n.").name, "builtins.int");
}

TEST(Pickle, ReadsTextOfAllProtocols) {
  EXPECT_EQ(root<std::string>(pickle_str("abc") + "."), "abc");
  EXPECT_EQ(root<std::string>("\x8c\x03"
                              "abc."),
            "abc");
  EXPECT_EQ(root<std::string>("\x8d"s + le(3, 8) + "abc."), "abc");
  EXPECT_EQ(root<std::string>("Va\\u00e9\xe9\n."), "a\xc3\xa9\xc3\xa9");
  EXPECT_EQ(root<PickleBytes>("S'it\\'s\\x41\\n'\n.").bytes, "it'sA\n");
  EXPECT_EQ(root<PickleBytes>("U\x02"
                              "ab.")
                .bytes,
            "ab");
  EXPECT_EQ(root<PickleBytes>("T\x02\x00\x00\x00"
                              "ab."s)
                .bytes,
            "ab");
  EXPECT_EQ(root<PickleBytes>("C\x02"
                              "ab.")
                .bytes,
            "ab");
  EXPECT_EQ(root<PickleBytes>("\x8e"s + le(2, 8) + "ab.").bytes, "ab");
  EXPECT_EQ(root<PickleBytes>("\x96"s + le(2, 8) + "ab.").bytes, "ab");
}

TEST(Pickle, ReadsContainersAndTheMemo) {
  EXPECT_EQ(root<PickleTuple>("K\x01K\x02\x86.").items.size(), 2u);
  EXPECT_EQ(root<PickleTuple>("(K\x01K\x02K\x03t.").items.size(), 3u);
  EXPECT_EQ(root<PickleList>("](K\x01K\x02"
                             "e.")
                .items.size(),
            2u);
  EXPECT_EQ(root<PickleList>("(K\x01K\x02l.").items.size(), 2u);
  EXPECT_EQ(root<PickleDict>("(K\x01K\x02"
                             "d.")
                .entries.size(),
            1u);
  EXPECT_EQ(root<PickleDict>("}K\x01K\x02s.").entries.size(), 1u);
  EXPECT_EQ(root<PickleSet>("\x8f(K\x01K\x02\x90.").items.size(), 2u);
  EXPECT_EQ(root<PickleSet>("(K\x01\x91.").items.size(), 1u);
  const auto pair = root<PickleTuple>("K\x07q\x05h\x05\x86.");
  EXPECT_EQ(pair.items[0], pair.items[1]);
  const auto memoized = root<PickleTuple>("K\x07\x94h\x00\x86."s);
  EXPECT_EQ(memoized.items[0], memoized.items[1]);
  EXPECT_EQ(root<int64_t>("K\x01(K\x02K\x03"
                          "1."),
            1);
  EXPECT_EQ(root<int64_t>("K\x01K\x02"
                          "0."),
            1);
}

TEST(Pickle, BuildsTheKnownContainers) {
  EXPECT_EQ(root<PickleDict>("ccollections\nOrderedDict\n)R(K\x01K\x02u.").entries.size(), 1u);
  EXPECT_EQ(root<PickleDict>("ccollections\nOrderedDict\n](](K\x01K\x02"
                             "ee\x85R.")
                .entries.size(),
            1u);
  EXPECT_EQ(root<PickleTuple>("ctorch\nSize\nK\x01K\x02\x86\x85R.").items.size(), 2u);
  EXPECT_EQ(root<PickleSet>("c__builtin__\nset\n](K\x01"
                            "e\x85R.")
                .items.size(),
            1u);
  EXPECT_EQ(root<PickleBytes>("c_codecs\nencode\n" + pickle_str("\xc3\xbf") + pickle_str("latin1") +
                              "\x86R.")
                .bytes,
            "\xff");
}

TEST(Pickle, ExecutesNothing) {
  const std::string argument = pickle_str("touch /tmp/easel-was-here");
  for (const std::string& call : std::vector<std::string>{
           "cos\nsystem\n" + argument + "\x85R.", "(" + argument + "ios\nsystem\n.",
           "cbuiltins\neval\n" + argument + "\x85\x81.",
           pickle_str("os") + pickle_str("system") + "\x93" + argument + "\x85R.",
           "(cos\nsystem\n" + argument + "o.", "cos\nsystem\n" + argument + "\x85}\x92."}) {
    const Pickle pickle = read(call);
    const auto* opaque = pickle.get<PickleOpaque>(pickle.root);
    ASSERT_NE(opaque, nullptr) << call;
    ASSERT_EQ(pickle.unknown_globals.size(), 1u);
    EXPECT_EQ(*pickle.unknown_globals.begin(), opaque->name);
  }
}

TEST(Pickle, CallsOnWhatACallMadeStayOpaque) {
  const Pickle pickle = read("cbuiltins\ngetattr\ncos\nx\n\x85R)R}b.");
  EXPECT_EQ(pickle.get<PickleOpaque>(pickle.root)->name, "builtins.getattr");
  EXPECT_EQ(pickle.unknown_globals, (std::set<std::string>{"builtins.getattr", "os.x"}));
}

TEST(Pickle, KnownGlobalsAreNotListed) {
  const std::string known =
      "(ctorch\nFloatStorage\nctorch.cuda\nHalfStorage\nctorch\nfloat16\n"
      "ctorch._utils\n_rebuild_parameter\nctorch\ndevice\nt.";
  EXPECT_TRUE(read(known).unknown_globals.empty());
}

TEST(Pickle, NamesTheByteOfAnUnknownOpcode) {
  const std::string message = error_of("K\x01?.");
  EXPECT_NE(message.find("0x3f"), message.npos) << message;
  EXPECT_NE(message.find("byte 2"), message.npos) << message;
}

TEST(Pickle, RefusesExtensionsBuffersAndProtocols) {
  for (const char* opcodes : {"\x82\x01.", "\x83\x01\x01.", "\x97.", "K\x01\x98."}) {
    EXPECT_NE(error_of(opcodes).find("opcode"), std::string::npos);
  }
  EXPECT_NE(error_of("\x80\x06N.").find("protocol 6"), std::string::npos);
}

TEST(Pickle, RefusesPersistentIdsWhereThereAreNone) {
  EXPECT_NE(error_of("K\x01Q.").find("outside"), std::string::npos);
  EXPECT_NE(error_of("P7\n.").find("outside"), std::string::npos);
}

TEST(Pickle, RefusesAnEmptyStackAndMissingMarks) {
  for (const char* bad :
       {".", "0.", "a.",
        "K\x01"
        "a.",
        "t.", "u.", "(.", "]a.", "K\x01(\x85.", "R.", "2.", "b.", "o.", "(o.", "q\x01.", "s."}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(Pickle, RefusesWrongTargets) {
  EXPECT_NE(error_of("K\x01K\x02"
                     "a.")
                .find("appends to an int"),
            std::string::npos);
  EXPECT_NE(error_of("K\x01K\x02K\x03s.").find("sets items of an int"), std::string::npos);
  EXPECT_NE(error_of("}(K\x01u.").find("no value"), std::string::npos);
  EXPECT_NE(error_of("K\x01)R.").find("calls an int"), std::string::npos);
  EXPECT_NE(error_of("cos\nsystem\nK\x01R.").find("arguments"), std::string::npos);
  EXPECT_NE(error_of("h\x09.").find("number 9"), std::string::npos);
}

TEST(Pickle, RefusesMalformedText) {
  for (const char* bad : {"Iseven\n.", "F1.5x\n.", "S'open\n.", "S'\\x4'\n.", "V\\u12\n.",
                          "V\\ud800\n.", "gx\n.", "I1", "cos\nsystem"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(Pickle, RefusesLengthsBeyondTheEnd) {
  EXPECT_NE(error_of("X\xff\xff\xff\x7f"
                     "abc.")
                .find("truncated"),
            std::string::npos);
  EXPECT_NE(error_of("\x8d"s + le(~0ULL, 8) + "abc.").find("truncated"), std::string::npos);
  EXPECT_NE(error_of("\x8b\xff\xff\xff\xff.").find("truncated"), std::string::npos);
  EXPECT_NE(error_of("\x95"s + le(1ULL << 40, 8) + "N.").find("frame"), std::string::npos);
}

TEST(Pickle, EveryTruncationIsAnError) {
  const std::string whole = test::pickle_state({});
  const auto read_front = [&](size_t length) {
    Cursor in(std::as_bytes(std::span(whole.data(), length)), "the pickle");
    read_pickle(in, torch_persistent_id);
  };
  EXPECT_NO_THROW(read_front(whole.size()));
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(read_front(length), Error) << length;
  }
}

TEST(Pickle, DeepNestingIsNoRecursion) {
  constexpr size_t kDepth = 1'000'000;
  const Pickle lists = read(std::string(kDepth, ']') + std::string(kDepth - 1, 'a') + ".");
  EXPECT_NE(lists.get<PickleList>(lists.root), nullptr);
  const Pickle tuples = read(")" + std::string(kDepth, '\x85') + ".");
  EXPECT_NE(tuples.get<PickleTuple>(tuples.root), nullptr);
  EXPECT_NE(error_of(std::string(kDepth, '(') + "."), "");
}

TEST(Pickle, AListMayContainItself) {
  const Pickle pickle = read(
      "]q\x01h\x01"
      "a.");
  EXPECT_EQ(pickle.get<PickleList>(pickle.root)->items, std::vector<PickleId>{pickle.root});
}

TEST(Pickle, CopyingALargeContainerAgainAndAgainIsRefused) {
  std::string bytes = "c__builtin__\nset\nq\x01](" + std::string(100'000, 'N') +
                      "e\x85q\x02"
                      "00";
  for (int i = 0; i < 1000; ++i) bytes += "h\x01h\x02R0";
  EXPECT_NE(error_of(bytes + "N.").find("far more"), std::string::npos);
}

TEST(Pickle, TooManyValuesAreRefused) {
  EXPECT_NE(error_of(std::string(40'000'000, ')') + ".").find("far more"), std::string::npos);
  EXPECT_NE(error_of("N" + std::string(40'000'000, '\x94') + ".").find("far more"),
            std::string::npos);
}

TEST(Pickle, LongGlobalNamesAreRefused) {
  EXPECT_NE(error_of("c" + std::string(300, 'm') + "\nx\n.").find("name"), std::string::npos);
}

TEST(PickleText, Latin1) {
  EXPECT_EQ(utf8_to_latin1("\xc3\xa9"), "\xe9");
  EXPECT_EQ(utf8_to_latin1("\xc4\x80"), std::nullopt);
  EXPECT_EQ(utf8_to_latin1("\xff"), std::nullopt);
}

}  // namespace
}  // namespace easel
