#include "easel/text/clip_tokenizer.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "easel/base/error.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Ids = std::vector<int64_t>;
using easel::test::file_bytes;
using easel::test::message_of;
using easel::test::TempDir;

const fs::path kData = fs::path(EASEL_TEST_DATA) / "tokenizer";

const ClipTokenizer& clip() {
  if (!fs::exists(EASEL_CLIP_VOCABULARY))
    fail("CLIP's vocabulary '{}' is missing; run scripts/setup", EASEL_CLIP_VOCABULARY);
  static const ClipTokenizer tokenizer = ClipTokenizer::from_bpe_file(EASEL_CLIP_VOCABULARY);
  return tokenizer;
}

const Json& fixture() {
  static const Json json = Json::parse(std::ifstream(kData / "clip.json"));
  return json;
}

uint32_t add_checksum(uint32_t sum, const Ids& ids) {
  for (const int64_t id : ids) {
    const auto value = static_cast<uint32_t>(id);
    const unsigned char bytes[] = {
        static_cast<unsigned char>(value), static_cast<unsigned char>(value >> 8),
        static_cast<unsigned char>(value >> 16), static_cast<unsigned char>(value >> 24)};
    sum = static_cast<uint32_t>(crc32(sum, bytes, 4));
  }
  return sum;
}

std::string utf8(uint32_t c) {
  std::string out;
  const auto add = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | c >> 6);
    add(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    add(0xE0 | c >> 12);
    add(0x80 | (c >> 6 & 0x3F));
    add(0x80 | (c & 0x3F));
  } else {
    add(0xF0 | c >> 18);
    add(0x80 | (c >> 12 & 0x3F));
    add(0x80 | (c >> 6 & 0x3F));
    add(0x80 | (c & 0x3F));
  }
  return out;
}

TEST(ClipTokenizer, AgreesWithTransformersOnHardStrings) {
  size_t count = 0;
  for (const Json& entry : fixture().at("strings")) {
    const auto text = entry.at(0).get<std::string>();
    const auto ids = entry.at(1).get<Ids>();
    EXPECT_EQ(clip().tokenize(text), ids) << Json(text).dump(-1, ' ', true);
    EXPECT_EQ(clip().decode(ids), entry.at(2).get<std::string>()) << Json(text).dump(-1, ' ', true);
    ++count;
  }
  EXPECT_GT(count, 2000u);
}

TEST(ClipTokenizer, AgreesWithTransformersOnLongStrings) {
  for (const Json& entry : fixture().at("long")) {
    const auto unit = entry.at("unit").get<std::string>();
    std::string text;
    for (int i = 0; i < entry.at("count"); ++i) text += unit;
    const Ids ids = clip().tokenize(text);
    EXPECT_EQ(ids.size(), entry.at("num_tokens").get<size_t>()) << unit;
    EXPECT_EQ(add_checksum(0, ids), entry.at("crc32").get<uint32_t>()) << unit;
  }
}

// Every code point between letters, between a capital and a combining mark, after a Hangul
// syllable.
TEST(ClipTokenizer, AgreesWithTransformersOnEveryCodePoint) {
  const auto sums = fixture().at("code_points").get<std::vector<uint32_t>>();
  ASSERT_EQ(sums.size(), 0x110000u / 4096);
  for (uint32_t page = 0; page < sums.size(); ++page) {
    uint32_t sum = 0;
    for (uint32_t c = page * 4096; c < (page + 1) * 4096; ++c) {
      if (c >= 0xD800 && c < 0xE000) continue;
      const std::string character = utf8(c);
      for (const std::string& text :
           {fmt::format("a{}b", character), fmt::format("Q{}\xCC\xB4", character),
            fmt::format("\xEA\xB0\x80{}", character)}) {
        sum = add_checksum(sum, clip().tokenize(text));
        sum = add_checksum(sum, {0xFFFFFFFF});
      }
    }
    EXPECT_EQ(sum, sums[page]) << "among the code points from " << page * 4096;
  }
}

TEST(ClipTokenizer, EncodesAsTransformersDoes) {
  for (const Json& entry : fixture().at("encoded"))
    EXPECT_EQ(clip().encode(entry.at("text").get<std::string>(), entry.at("length")),
              entry.at("ids").get<Ids>());
}

TEST(ClipTokenizer, CountsTheTokensThatItCuts) {
  size_t num_cut = 99;
  EXPECT_EQ(clip().encode("a b c", 5, &num_cut).size(), 5u);
  EXPECT_EQ(num_cut, 0u);
  EXPECT_EQ(clip().encode("a b c", 4, &num_cut), (Ids{49406, 320, 321, 49407}));
  EXPECT_EQ(num_cut, 1u);
  EXPECT_EQ(clip().encode("a b c", 2, &num_cut), (Ids{49406, 49407}));
  EXPECT_EQ(num_cut, 3u);
  EXPECT_THROW(clip().encode("a", 1), Error);
}

TEST(ClipTokenizer, KnowsItsSpecialTokens) {
  EXPECT_EQ(clip().bos(), 49406);
  EXPECT_EQ(clip().eos(), 49407);
  EXPECT_EQ(clip().pad(), 49407);
  EXPECT_EQ(clip().vocabulary_size(), 49408);
}

TEST(ClipTokenizer, RefusesInvalidUtf8) {
  for (const char* text :
       {"caf\xe9", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82", "\xff", "\x80"}) {
    const std::string message = message_of<Error>([&] { clip().tokenize(text); });
    EXPECT_NE(message.find("not valid UTF-8"), std::string::npos) << message;
  }
}

TEST(ClipTokenizer, DecodesBrokenCharactersAsReplacements) {
  // The two tokens of U+1F9FF, apart: transformers gives one replacement character for each part.
  const Ids ids = clip().tokenize("\xF0\x9F\xA7\xBF");
  ASSERT_GT(ids.size(), 1u);
  EXPECT_EQ(clip().decode({ids[0]}), "\xEF\xBF\xBD");
  EXPECT_THROW(clip().decode({49408}), Error);
  EXPECT_THROW(clip().decode({-1}), Error);
}

// A quadratic step would take many minutes, and ctest's timeout ends the program.
TEST(ClipTokenizer, TakesAMegabyte) {
  const std::string mark = "\xCC\x81\xCC\x96";  // two marks that NFC swaps
  std::string word, marks = "a", sentence;
  while (word.size() < 1'000'000) word += "abracadabra";
  while (marks.size() < 1'000'000) marks += mark;
  while (sentence.size() < 1'000'000) sentence += "a photo of a cat, <|endoftext|> ";
  for (const std::string& text : {word, marks, sentence})
    EXPECT_GT(clip().tokenize(text).size(), 0u);
}

TEST(ClipTokenizer, ReadsFoldersAsTransformersDoes) {
  for (const Json& folder : fixture().at("folders")) {
    const auto name = folder.at("folder").get<std::string>();
    const auto tokenizer = ClipTokenizer::from_folder(kData / name);
    EXPECT_EQ(tokenizer.bos(), folder.at("bos")) << name;
    EXPECT_EQ(tokenizer.eos(), folder.at("eos")) << name;
    EXPECT_EQ(tokenizer.pad(), folder.at("pad")) << name;
    EXPECT_EQ(tokenizer.vocabulary_size(), folder.at("size")) << name;
    for (const Json& text : folder.at("texts"))
      EXPECT_EQ(tokenizer.tokenize(text.at("text").get<std::string>()), text.at("ids").get<Ids>())
          << name << ": " << text.at("text");
  }
}

TEST(ClipTokenizer, PadsWithTheFoldersToken) {
  EXPECT_EQ(ClipTokenizer::from_folder(kData / "pad").encode("low", 6), (Ids{23, 17, 24, 0, 0, 0}));
}

TEST(ClipTokenizer, PadsWithAnotherTokenWhereItIsTold) {
  const ClipTokenizer tokenizer = ClipTokenizer::from_folder(kData / "pad");
  const ClipTokenizer other = tokenizer.with_pad(3);
  EXPECT_EQ(other.encode("low", 6), (Ids{23, 17, 24, 3, 3, 3}));
  EXPECT_EQ(other.pad(), 3);
  EXPECT_EQ(tokenizer.pad(), 0);
  EXPECT_EQ(other.tokenize("low"), tokenizer.tokenize("low"));
  EXPECT_THROW(tokenizer.with_pad(-1), Error);
  EXPECT_THROW(tokenizer.with_pad(tokenizer.vocabulary_size()), Error);
}

// A folder with one file replaced, and a word that the error must have.
struct BrokenFolder {
  const char* file;
  const char* content;  // nullptr removes the file
  const char* expected;
};

class ClipTokenizerBrokenFolder : public ::testing::TestWithParam<BrokenFolder> {};

TEST_P(ClipTokenizerBrokenFolder, IsAnErrorThatSaysWhat) {
  const TempDir folder;
  for (const char* name : {"vocab.json", "merges.txt", "special_tokens_map.json"})
    if (GetParam().content || std::string_view(name) != GetParam().file)
      folder.write(name, file_bytes(kData / "plain" / name));
  if (GetParam().content) folder.write(GetParam().file, GetParam().content);
  const std::string message = message_of<Error>([&] { ClipTokenizer::from_folder(folder.path()); });
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Files, ClipTokenizerBrokenFolder,
    ::testing::Values(
        BrokenFolder{"vocab.json", nullptr, "has no vocab.json"},
        BrokenFolder{"merges.txt", nullptr, "has no merges.txt"},
        BrokenFolder{"vocab.json", "", "not a JSON object"},
        BrokenFolder{"vocab.json", "{\"a\": 1, ", "not a JSON object"},
        BrokenFolder{"vocab.json", "[1, 2]", "not a JSON object"},
        BrokenFolder{"vocab.json", "{}", "no tokens"},
        BrokenFolder{"vocab.json", R"({"a": -1})", "has the id -1"},
        BrokenFolder{"vocab.json", R"({"a": 1.5})", "has the id 1.5"},
        BrokenFolder{"vocab.json", R"({"a": "x"})", "has the id"},
        BrokenFolder{"vocab.json", R"({"a": 99999999999999999999})", "has the id"},
        BrokenFolder{"vocab.json", R"({"a": 1000000})", "has the id 1000000"},
        BrokenFolder{"vocab.json", R"({"a": 3, "b": 3})", "more than one token"},
        BrokenFolder{"merges.txt", "#version: 0.2\nl o w\n", "line 2"},
        BrokenFolder{"merges.txt", "#version: 0.2\nl o\n\nlo w</w>\n", "line 3"},
        BrokenFolder{"merges.txt", "#version: 0.2\nlow\n", "line 2"},
        BrokenFolder{"merges.txt", "#version: 0.2\nl \xff\n", "line 2"},
        BrokenFolder{"merges.txt", "#version: 0.2\nq u\n", "not in the vocabulary"},
        BrokenFolder{"special_tokens_map.json", "no", "not a JSON object"},
        BrokenFolder{"special_tokens_map.json", R"({"pad_token": 5})", "special token"},
        BrokenFolder{"special_tokens_map.json", R"({"pad_token": {"content": ""}})",
                     "special token"},
        BrokenFolder{"tokenizer_config.json", R"({"added_tokens_decoder": 1})",
                     "added_tokens_decoder"},
        BrokenFolder{"tokenizer_config.json", R"({"added_tokens_decoder": {"x": {}}})",
                     "added_tokens_decoder"},
        BrokenFolder{"tokenizer_config.json",
                     R"({"added_tokens_decoder": {"9999999": {"content": "z"}}})", "has the id"},
        BrokenFolder{"tokenizer_config.json",
                     R"({"added_tokens_decoder": {"30": {"content": "z", "single_word": true}}})",
                     "single_word"},
        BrokenFolder{"added_tokens.json", R"({"z": "x"})", "no whole number"}));

TEST(ClipTokenizerFiles, MissingPathsAreErrors) {
  EXPECT_THROW(ClipTokenizer::from_bpe_file("no/such/file.gz"), Error);
  EXPECT_THROW(ClipTokenizer::from_bpe_file(kData), Error);
  EXPECT_THROW(ClipTokenizer::from_folder("no/such/folder"), Error);
  EXPECT_THROW(ClipTokenizer::from_folder(kData / "clip.json"), Error);
}

TEST(ClipTokenizerFiles, ABrokenVocabularyIsAnError) {
  const TempDir dir;
  const auto error_of = [&](std::string_view content) {
    const fs::path path = dir.write("bpe", content);
    return message_of<Error>([&] { ClipTokenizer::from_bpe_file(path); });
  };
  const std::string whole = file_bytes(EASEL_CLIP_VOCABULARY);
  EXPECT_NE(error_of(whole.substr(0, whole.size() / 2)).find("truncated or corrupt"),
            std::string::npos);
  std::string damaged = whole;
  damaged[damaged.size() / 8] = static_cast<char>(damaged[damaged.size() / 8] ^ 0x55);
  EXPECT_NE(error_of(damaged), "");
  EXPECT_NE(error_of("").find("not CLIP's vocabulary"), std::string::npos);
  EXPECT_NE(error_of("hello\nworld\n").find("not CLIP's vocabulary"), std::string::npos);
  EXPECT_NE(error_of("\"#version: 0.2\ni n\nt h\n").find("2 merges"), std::string::npos);
}

// A gzip file that grows without end: the bound on the size stops it.
TEST(ClipTokenizerFiles, ADecompressionBombIsAnError) {
  const TempDir dir;
  const fs::path path = dir.path() / "bomb.gz";
  const gzFile file = gzopen(path.c_str(), "wb1");
  ASSERT_NE(file, nullptr);
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 65; ++i)
    ASSERT_EQ(gzwrite(file, block.data(), static_cast<unsigned>(block.size())), 1 << 20);
  ASSERT_EQ(gzclose(file), Z_OK);
  const std::string message = message_of<Error>([&] { ClipTokenizer::from_bpe_file(path); });
  EXPECT_NE(message.find("larger than"), std::string::npos) << message;
}

TEST(ClipTokenizerFiles, PlainAndCompressedVocabulariesAreTheSame) {
  const TempDir dir;
  const gzFile file = gzopen(EASEL_CLIP_VOCABULARY, "rb");
  ASSERT_NE(file, nullptr) << "run scripts/setup";
  std::string text(8 << 20, '\0');
  text.resize(static_cast<size_t>(gzread(file, text.data(), static_cast<unsigned>(text.size()))));
  gzclose(file);
  const auto plain = ClipTokenizer::from_bpe_file(dir.write("bpe.txt", text));
  EXPECT_EQ(plain.tokenize("a photo of a cat"), clip().tokenize("a photo of a cat"));
}

}  // namespace
}  // namespace easel
