#include "easel/text/sentencepiece_tokenizer.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "easel/base/error.h"
#include "easel/text/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Ids = std::vector<int64_t>;
using easel::test::file_bytes;
using easel::test::message_of;
using easel::test::TempDir;

const fs::path kData = fs::path(EASEL_TEST_DATA) / "sentencepiece";

const Json& reference() {
  static const Json json = Json::parse(std::ifstream(kData / "reference.json"));
  return json;
}

fs::path model_file(const std::string& name) { return kData / (name + ".model"); }

std::string shown(const std::string& text) { return Json(text).dump(-1, ' ', true); }

// A tokenizer folder with the model `model` and these files.
void write_folder(const TempDir& dir, const std::string& model, const Json& files,
                  const std::string& model_name = "spiece.model") {
  fs::copy_file(model_file(model), dir / model_name);
  for (const auto& [name, text] : files.items()) dir.write(name, text.get<std::string>());
}

void expect_reference(const SentencePieceTokenizer& tokenizer, const Json& expected,
                      const std::string& name) {
  EXPECT_EQ(tokenizer.eos(), expected.at("eos")) << name;
  EXPECT_EQ(tokenizer.pad(), expected.at("pad")) << name;
  EXPECT_EQ(tokenizer.unknown(), expected.at("unknown")) << name;
  EXPECT_EQ(tokenizer.vocabulary_size(), expected.at("size")) << name;
  for (const Json& entry : expected.at("strings")) {
    const auto text = entry.at(0).get<std::string>();
    const auto ids = entry.at(1).get<Ids>();
    EXPECT_EQ(tokenizer.tokenize(text), ids) << name << ": " << shown(text);
    EXPECT_EQ(tokenizer.decode(ids), entry.at(2).get<std::string>()) << name << ": " << shown(text);
  }
  for (const Json& entry : expected.at("encoded")) {
    const auto text = entry.at(0).get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, entry.at(1).get<size_t>()), entry.at(2).get<Ids>())
        << name << ": " << shown(text);
  }
}

TEST(SentencePieceTokenizer, AgreesWithT5TokenizerOnHardStrings) {
  for (const auto& [name, expected] : reference().at("files").items()) {
    const auto tokenizer = SentencePieceTokenizer::from_file(model_file(name));
    expect_reference(tokenizer, expected, name);
    EXPECT_EQ(tokenizer.bos().value_or(-1), expected.at("bos")) << name;
  }
  EXPECT_GT(reference().at("files").at("unigram").at("strings").size(), 250u);
}

TEST(SentencePieceTokenizer, AgreesWithT5TokenizerOnLongStrings) {
  for (const Json& entry : reference().at("long")) {
    const auto tokenizer =
        SentencePieceTokenizer::from_file(model_file(entry.at("model").get<std::string>()));
    const auto unit = entry.at("unit").get<std::string>();
    std::string text;
    for (int i = 0; i < entry.at("count"); ++i) text += unit;
    const Ids ids = tokenizer.tokenize(text);
    EXPECT_EQ(ids.size(), entry.at("num_tokens").get<size_t>()) << shown(unit);
    int64_t sum = 0;
    for (size_t i = 0; i < ids.size(); ++i) sum += ids[i] * static_cast<int64_t>(i % 97 + 1);
    EXPECT_EQ(sum, entry.at("sum").get<int64_t>()) << shown(unit);
  }
}

TEST(SentencePieceTokenizer, ReadsFoldersAsT5TokenizerDoes) {
  for (const auto& [name, expected] : reference().at("folders").items()) {
    const TempDir dir;
    write_folder(dir, expected.at("model").get<std::string>(), expected.at("files"));
    expect_reference(SentencePieceTokenizer::from_folder(dir.path()), expected, name);
  }
}

TEST(SentencePieceTokenizer, CountsTheTokensThatItCuts) {
  const auto tokenizer = SentencePieceTokenizer::from_file(model_file("unigram"));
  const size_t whole = tokenizer.tokenize("a red circle").size();
  size_t num_cut = 99;
  EXPECT_EQ(tokenizer.encode("a red circle", whole + 1, &num_cut).back(), tokenizer.eos());
  EXPECT_EQ(num_cut, 0u);
  const Ids cut = tokenizer.encode("a red circle", whole, &num_cut);
  EXPECT_EQ(num_cut, 1u);
  EXPECT_EQ(cut.size(), whole);
  EXPECT_EQ(cut.back(), tokenizer.eos());
  EXPECT_EQ(tokenizer.encode("a red circle", 1, &num_cut), Ids{tokenizer.eos()});
  EXPECT_EQ(num_cut, whole);
  EXPECT_EQ(tokenizer.num_special_tokens(), 1u);
  EXPECT_THROW(tokenizer.encode("a", 0), Error);
}

TEST(SentencePieceTokenizer, RefusesInvalidUtf8) {
  const auto tokenizer = SentencePieceTokenizer::from_file(model_file("bpe"));
  for (const std::string text : {"\xFF", "a\xC0\x80", "\xED\xA0\x80", "abc\xE8\x93", "\x80"}) {
    const std::string message = message_of<Error>([&] { tokenizer.tokenize(text); });
    EXPECT_NE(message.find("UTF-8"), std::string::npos) << message;
  }
}

TEST(SentencePieceTokenizer, RefusesTokensOutsideTheVocabulary) {
  const auto tokenizer = SentencePieceTokenizer::from_file(model_file("bpe"));
  for (const int64_t id : {int64_t{-1}, tokenizer.vocabulary_size(), int64_t{1} << 40}) {
    EXPECT_THROW(tokenizer.decode({id}), Error) << id;
    EXPECT_THROW(tokenizer.token_text(id), Error) << id;
  }
}

TEST(SentencePieceTokenizer, TakesAMegabyte) {
  std::string text;
  while (text.size() < (size_t{1} << 20)) text += "a red circle \xF0\x9F\x98\x80 ";
  for (const char* name : {"unigram", "bpe"}) {
    const auto tokenizer = SentencePieceTokenizer::from_file(model_file(name));
    size_t num_cut = 0;
    EXPECT_EQ(tokenizer.encode(text, 77, &num_cut).size(), 77u);
    EXPECT_GT(num_cut, 100'000u);
  }
}

TEST(SentencePieceTokenizer, ComparesWhatItIsMadeOf) {
  const auto file = SentencePieceTokenizer::from_file(model_file("unigram"));
  EXPECT_TRUE(file == SentencePieceTokenizer::from_file(model_file("unigram")));
  EXPECT_FALSE(file == SentencePieceTokenizer::from_file(model_file("bpe")));
  for (const char* name : {"plain", "no_prefix"}) {
    const Json& folder = reference().at("folders").at(name);
    const TempDir dir;
    write_folder(dir, "unigram", folder.at("files"));
    EXPECT_EQ(SentencePieceTokenizer::from_folder(dir.path()) == file, name == std::string("plain"))
        << name;
  }
}

TEST(SentencePieceFiles, ATruncatedModelIsAnErrorWithoutAWord) {
  const std::string bytes = file_bytes(model_file("unigram"));
  const TempDir dir;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  size_t num_errors = 0, num_read = 0;
  // Behind the pieces a shorter file can be a model, without what was cut.
  for (size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 97) {
    const fs::path path = dir.write("cut.model", bytes.substr(0, size));
    try {
      SentencePieceTokenizer::from_file(path).encode("a red circle \xF0\x9F\x98\x80");
      ++num_read;
    } catch (const Error&) {
      ++num_errors;
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_GT(num_errors, 64u);
  EXPECT_LT(num_read, num_errors);
}

// One byte in 17 is wrong once, in one of two ways. An Error or another tokenizer are fine.
TEST(SentencePieceFiles, ABrokenByteIsNoCrash) {
  for (const char* name : {"unigram", "char"}) {
    const std::string bytes = file_bytes(model_file(name));
    const TempDir dir;
    testing::internal::CaptureStderr();
    size_t num_errors = 0;
    for (size_t at = 0; at < bytes.size(); at += 17) {
      std::string broken = bytes;
      broken[at] = static_cast<char>(broken[at] ^ (at % 2 == 0 ? 0x80 : 0x15));
      try {
        const auto tokenizer = SentencePieceTokenizer::from_file(dir.write("broken.model", broken));
        tokenizer.decode(tokenizer.encode("a red circle \xEF\xBC\xA1 \xF0\x9F\x98\x80"));
      } catch (const Error&) {
        ++num_errors;
      }
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_GT(num_errors, 10u) << name;
  }
}

std::string field(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out += static_cast<char>(size | 0x80);
  return out + static_cast<char>(size) + bytes;
}

// A piece of the type (1 normal, 2 unknown, 3 control).
std::string piece(const std::string& text, int type) {
  return field(1, field(1, text) + std::string("\x15\0\0\0\0\x18", 6) + static_cast<char>(type));
}

std::string units(const std::vector<uint32_t>& values) {
  std::string out;
  for (const uint32_t value : values)
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
  return out;
}

// A model with these normalisation rules.
std::string with_rules(const std::string& rules) {
  return piece("<unk>", 2) + piece("a", 1) + field(3, field(2, rules));
}

struct BrokenModel {
  const char* name;
  std::string bytes;
  const char* message;
};

class SentencePieceBrokenModel : public testing::TestWithParam<BrokenModel> {};

TEST_P(SentencePieceBrokenModel, IsAnErrorThatSaysWhat) {
  const TempDir dir;
  const fs::path path = dir.write("broken.model", GetParam().bytes);
  testing::internal::CaptureStderr();
  const std::string message = message_of<Error>([&] { SentencePieceTokenizer::from_file(path); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_NE(message.find("broken.model"), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Files, SentencePieceBrokenModel,
    testing::Values(
        BrokenModel{"empty", "", "it has no pieces"},
        BrokenModel{"text", "#version: 0.2\ni n\n", "no SentencePiece model"},
        BrokenModel{"html", "<!DOCTYPE html><html></html>", "no SentencePiece model"},
        BrokenModel{"zeros", std::string(1000, '\0'), "no SentencePiece model"},
        BrokenModel{"long_field", "\x0A\xFF\xFF\xFF\xFF\x07", "reaches beyond the end"},
        BrokenModel{"endless_number", std::string(20, '\xFF'), "more than 64 bits"},
        BrokenModel{"no_unknown", piece("a", 1) + piece("b", 1), "that can be used"},
        BrokenModel{"two_unknown", piece("<unk>", 2) + piece("x", 2), "that can be used"},
        BrokenModel{"twice", piece("<unk>", 2) + piece("a", 1) + piece("a", 1), "that can be used"},
        BrokenModel{"empty_piece", piece("<unk>", 2) + piece("", 1), "that can be used"},
        BrokenModel{"cut_rules", with_rules("\x01"), "rules are cut"},
        BrokenModel{"rules_too_long", with_rules(units({4096, 0})), "rules are cut"},
        BrokenModel{"rules_no_units", with_rules(units({3}) + "abcd"), "no whole units"},
        BrokenModel{"rules_outside", with_rules(units({8, 0x7FFFFC00, 0}) + std::string(4, '\0')),
                    "lead outside"},
        BrokenModel{"rules_circle", with_rules(units({1024}) + std::string(1025, '\0')),
                    "in a circle"}),
    [](const auto& test) { return test.param.name; });

TEST(SentencePieceFiles, TooManyPiecesAreAnError) {
  std::string bytes;
  while (bytes.size() < 2'100'000) bytes += std::string("\x0A\0", 2);
  const TempDir dir;
  const fs::path path = dir.write("many.model", bytes);
  const std::string message = message_of<Error>([&] { SentencePieceTokenizer::from_file(path); });
  EXPECT_NE(message.find("more than 1000000 pieces"), std::string::npos) << message;
}

TEST(SentencePieceFiles, AHugeFileIsAnError) {
  const TempDir dir;
  const fs::path path = dir.write("huge.model", "\x0A");
  fs::resize_file(path, uintmax_t{100} << 20);
  const std::string message = message_of<Error>([&] { SentencePieceTokenizer::from_file(path); });
  EXPECT_NE(message.find("larger than 64 MiB"), std::string::npos) << message;
}

TEST(SentencePieceFiles, MissingPathsAreErrors) {
  EXPECT_THROW(SentencePieceTokenizer::from_file("no/such.model"), Error);
  EXPECT_THROW(SentencePieceTokenizer::from_file(kData), Error);
  EXPECT_THROW(SentencePieceTokenizer::from_folder("no/such/folder"), Error);
  EXPECT_THROW(SentencePieceTokenizer::from_folder(model_file("bpe")), Error);
  const TempDir empty;
  const std::string message =
      message_of<Error>([&] { SentencePieceTokenizer::from_folder(empty.path()); });
  EXPECT_NE(message.find("spiece.model"), std::string::npos) << message;
}

TEST(SentencePieceFiles, OtherModelNamesNeedTheirClass) {
  for (const char* name : {"sentencepiece.bpe.model", "tokenizer.model"}) {
    const TempDir dir;
    write_folder(dir, "bpe", Json::object(), name);
    const std::string message =
        message_of<Error>([&] { SentencePieceTokenizer::from_folder(dir.path()); });
    EXPECT_NE(message.find("\"tokenizer_class\": \"T5Tokenizer\""), std::string::npos) << message;
    dir.write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 0})");
    EXPECT_EQ(SentencePieceTokenizer::from_folder(dir.path()).tokenize("a red circle"),
              SentencePieceTokenizer::from_file(model_file("bpe")).tokenize("a red circle"));
  }
}

struct BrokenFolder {
  const char* file;
  const char* text;
  const char* message;
};

class SentencePieceBrokenFolder : public testing::TestWithParam<BrokenFolder> {};

TEST_P(SentencePieceBrokenFolder, IsAnErrorThatSaysWhat) {
  const TempDir dir;
  write_folder(dir, "unigram", {{GetParam().file, GetParam().text}});
  const std::string message =
      message_of<Error>([&] { SentencePieceTokenizer::from_folder(dir.path()); });
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

constexpr const char* kConfig = "tokenizer_config.json";

INSTANTIATE_TEST_SUITE_P(
    Files, SentencePieceBrokenFolder,
    testing::Values(
        BrokenFolder{kConfig, "{", "not a JSON object"},
        BrokenFolder{kConfig, R"({"tokenizer_class": "XLMRobertaTokenizer"})", "T5Tokenizer"},
        BrokenFolder{kConfig, R"({"tokenizer_class": 5})", "T5Tokenizer"},
        BrokenFolder{kConfig, R"({"extra_ids": -1})", "\"extra_ids\" is -1"},
        BrokenFolder{kConfig, R"({"extra_ids": 1e300})", "\"extra_ids\""},
        BrokenFolder{kConfig, R"({"extra_ids": 5, "additional_special_tokens": ["<extra_id_0>"]})",
                     "expected 1, as many"},
        BrokenFolder{kConfig, R"({"additional_special_tokens": "x"})", "a list of tokens"},
        BrokenFolder{kConfig, R"({"additional_special_tokens": [7]})", "a token's text"},
        BrokenFolder{kConfig, R"({"pad_token": null})", "\"pad_token\" is null"},
        BrokenFolder{kConfig, R"({"eos_token": ""})", "a token's text"},
        BrokenFolder{kConfig, R"({"padding_side": "left"})", "\"padding_side\""},
        BrokenFolder{kConfig, R"({"legacy": "no"})", "true or false"},
        BrokenFolder{kConfig, R"({"sp_model_kwargs": {"enable_sampling": true}})",
                     "\"sp_model_kwargs\""},
        BrokenFolder{kConfig, R"({"added_tokens_decoder": {"x": {"content": "y"}}})",
                     "ids and tokens"},
        BrokenFolder{kConfig, R"({"added_tokens_decoder": {"9999999": {"content": "y"}}})",
                     "expected 0 to 999999"},
        BrokenFolder{kConfig,
                     R"({"added_tokens_decoder": {"1": {"content": "y", "single_word": true}}})",
                     "single_word"},
        BrokenFolder{kConfig,
                     R"({"added_tokens_decoder": {"1": {"content": "y"}, "2": {"content": "y"}}})",
                     "two ids"},
        BrokenFolder{"special_tokens_map.json", "[]", "not a JSON object"},
        BrokenFolder{"added_tokens.json", R"({"x": "1"})", "an id from 0"},
        BrokenFolder{"added_tokens.json", R"({"x": 99999999999999999999})", "an id from 0"}));

TEST(Tokenizer, IsOneOfTheTwo) {
  const Tokenizer tokenizer = SentencePieceTokenizer::from_file(model_file("unigram"));
  const SentencePieceTokenizer* inside = tokenizer.sentencepiece();
  ASSERT_NE(inside, nullptr);
  EXPECT_EQ(tokenizer.clip(), nullptr);
  EXPECT_EQ(tokenizer.encode("a red circle", 9), inside->encode("a red circle", 9));
  EXPECT_EQ(tokenizer.tokenize("a red circle"), inside->tokenize("a red circle"));
  EXPECT_EQ(tokenizer.decode(tokenizer.tokenize("a red circle")), "a red circle");
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.num_special_tokens(), 1u);
  const Tokenizer clip = Tokenizer::from_folder(fs::path(EASEL_TEST_DATA) / "tokenizer" / "pad");
  ASSERT_NE(clip.clip(), nullptr);
  EXPECT_EQ(clip.sentencepiece(), nullptr);
  EXPECT_EQ(clip.bos(), clip.clip()->bos());
  EXPECT_EQ(clip.num_special_tokens(), 2u);
  EXPECT_EQ(clip.encode("low", 6), clip.clip()->encode("low", 6));
}

}  // namespace
}  // namespace easel
