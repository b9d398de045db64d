#include "sentencepiece_files.h"

#include <algorithm>
#include <array>

#include "easel/base/error.h"
#include "read_text.h"
#include "sentencepiece_check.h"

namespace easel::text {
namespace fs = std::filesystem;
using Json = nlohmann::json;
namespace {

// T5's own name first; the others are those of XLM-R's and Llama's tokenizers.
constexpr std::array<const char*, 3> kModelNames{"spiece.model", "sentencepiece.bpe.model",
                                                 "tokenizer.model"};
constexpr std::string_view kClass = "T5Tokenizer";
constexpr std::string_view kExtraId = "<extra_id_";
constexpr int64_t kMaxExtraIds = 10'000;

// The JSON files of a folder, with T5Tokenizer's rules for reading them.
class FolderReader {
 public:
  FolderReader(const fs::path& folder, int64_t num_pieces, SentencePieceFiles& files)
      : folder_(folder), num_pieces_(num_pieces), files_(files) {
    config_ = optional_json("tokenizer_config.json");
    map_ = optional_json("special_tokens_map.json");
    has_decoder_ = config_.contains("added_tokens_decoder");
  }

  void read(const std::string& model_name) {
    check_class(model_name);
    check_options();
    files_.bos = special("bos_token", {});
    files_.eos = special("eos_token", "</s>");
    files_.unknown = special("unk_token", "<unk>");
    files_.sep = special("sep_token", {});
    files_.pad = special("pad_token", "<pad>");
    files_.cls = special("cls_token", {});
    files_.mask = special("mask_token", {});
    if (!files_.eos) reject("eos_token", "null", "the token that ends every text");
    if (!files_.pad) reject("pad_token", "null", "the token that fills every text up");
    read_extra_ids(read_additional());
    read_listed();
  }

 private:
  Json optional_json(const char* name) const {
    std::error_code error;
    return fs::exists(folder_ / name, error) ? parse_json(folder_ / name) : Json::object();
  }

  [[noreturn]] void reject(std::string_view key, std::string_view got,
                           std::string_view expected) const {
    fail("the tokenizer folder '{}': \"{}\" is {}, expected {}", files_.source, key,
         printable(got, 60), expected);
  }
  static std::string text_of(const Json& json) {
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
  }

  void check_class(const std::string& model_name) const {
    const Json given = config_.value("tokenizer_class", Json());
    if (given.is_null()) {
      if (model_name == kModelNames[0]) return;
      fail(
          "the tokenizer folder '{}' has a {}, but no tokenizer_config.json that says how its "
          "pieces "
          "are numbered; expected \"tokenizer_class\": \"{}\"",
          files_.source, model_name, kClass);
    }
    if (given == Json(kClass)) return;
    reject("tokenizer_class", text_of(given),
           "\"T5Tokenizer\"; other classes number SentencePiece's pieces in other ways");
  }

  bool boolean(const char* key, bool otherwise) const {
    const Json value = config_.value(key, Json());
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) reject(key, text_of(value), "true or false");
    return value.get<bool>();
  }

  void check_options() {
    files_.legacy = boolean("legacy", true);
    files_.add_prefix_space = boolean("add_prefix_space", true);
    if (boolean("split_special_tokens", false)) {
      reject("split_special_tokens", "true", "false; it is not supported");
    }
    for (const char* key : {"padding_side", "truncation_side"}) {
      const Json side = config_.value(key, Json("right"));
      if (side != Json("right")) reject(key, text_of(side), "\"right\"");
    }
    const Json options = config_.value("sp_model_kwargs", Json());
    if (!options.is_null() && !options.empty()) {
      reject("sp_model_kwargs", text_of(options), "nothing; options of SentencePiece are not used");
    }
  }

  AddedToken token(const Json& json, std::string_view key) const {
    const Json content = json.is_object() ? json.value("content", Json()) : json;
    if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
      reject(key, text_of(json), "a token's text, or an object with \"content\"");
    }
    AddedToken out;
    out.content = content.get<std::string>();
    if (!json.is_object()) return out;
    const auto flag = [&](const char* name) { return json.value(name, Json(false)) == Json(true); };
    if (flag("single_word")) reject(key, "a token with \"single_word\": true", "false");
    out.lstrip = flag("lstrip");
    out.rstrip = flag("rstrip");
    return out;
  }

  // special_tokens_map.json goes before tokenizer_config.json, but for configs with an
  // added_tokens_decoder, which are complete.
  const Json* find(const char* key) const {
    if (!has_decoder_ && map_.contains(key)) return &map_.at(key);
    return config_.contains(key) ? &config_.at(key) : nullptr;
  }

  std::optional<AddedToken> special(const char* key, std::string_view otherwise) const {
    const Json* json = find(key);
    if (json == nullptr) {
      if (otherwise.empty()) return std::nullopt;
      AddedToken out;
      out.content = otherwise;
      return out;
    }
    if (json->is_null()) return std::nullopt;
    return token(*json, key);
  }

  // Returns whether a file gives the list.
  bool read_additional() {
    constexpr const char* kKey = "additional_special_tokens";
    bool given = false;
    const auto add = [&](const Json& json) {
      if (!json.contains(kKey) || json.at(kKey).is_null()) return;
      if (!json.at(kKey).is_array()) reject(kKey, text_of(json.at(kKey)), "a list of tokens");
      given = true;
      for (const Json& entry : json.at(kKey)) {
        const AddedToken one = token(entry, kKey);
        const auto same = [&](const AddedToken& other) { return other.content == one.content; };
        if (std::none_of(files_.additional.begin(), files_.additional.end(), same)) {
          files_.additional.push_back(one);
        }
      }
    };
    add(config_);
    if (!has_decoder_) add(map_);
    return given;
  }

  // <extra_id_0> ...: the sentinels that T5 was trained with stand behind the pieces in reverse.
  // Where a list of other tokens is given, they follow it instead, as any new token does.
  void read_extra_ids(bool has_list) {
    const Json json = config_.value("extra_ids", Json(100));
    if (!json.is_number_integer() || json.get<double>() < 0 || json.get<double>() > kMaxExtraIds) {
      reject("extra_ids", text_of(json), fmt::format("0 to {}", kMaxExtraIds));
    }
    const auto extra_ids = json.get<int64_t>();
    const auto is_extra = [](const AddedToken& one) {
      return one.content.find(kExtraId) != std::string::npos;
    };
    int64_t behind_pieces =
        std::count_if(files_.additional.begin(), files_.additional.end(), is_extra);
    if (behind_pieces > 0 && extra_ids > 0 && extra_ids != behind_pieces) {
      reject("extra_ids", text_of(json),
             fmt::format("{}, as many as \"additional_special_tokens\" lists", behind_pieces));
    }
    if (behind_pieces == 0) {
      if (!has_list) behind_pieces = extra_ids;
      for (int64_t i = 0; i < extra_ids; ++i) {
        AddedToken one;
        one.content = fmt::format("{}{}>", kExtraId, i);
        files_.additional.push_back(one);
      }
    }
    for (int64_t i = 0; i < behind_pieces; ++i) {
      AddedToken one;
      one.content = fmt::format("{}{}>", kExtraId, i);
      one.lstrip = one.rstrip = true;
      list(num_pieces_ - 1 + extra_ids - i, one);
    }
  }

  void list(int64_t id, AddedToken one) {
    if (id < 0 || id >= kMaxVocabularySize) {
      fail("the tokenizer folder '{}': the added token '{}' has the id {}, expected 0 to {}",
           files_.source, printable(one.content, 40), id, kMaxVocabularySize - 1);
    }
    one.id = id;
    files_.listed[id] = std::move(one);
  }

  void read_listed() {
    if (has_decoder_) {
      const Json& decoder = config_.at("added_tokens_decoder");
      if (!decoder.is_object()) reject("added_tokens_decoder", text_of(decoder), "ids and tokens");
      for (const auto& [key, json] : decoder.items()) {
        const bool is_number = !key.empty() && key.size() <= 7 &&
                               key.find_first_not_of("0123456789") == std::string::npos;
        if (!is_number || !json.is_object()) {
          reject("added_tokens_decoder", key + ": " + text_of(json), "ids and tokens");
        }
        list(std::stoll(key), token(json, "added_tokens_decoder"));
      }
      return;
    }
    const Json added = optional_json("added_tokens.json");
    for (const auto& [content, id] : added.items()) {
      list(whole_number(id, "added_tokens.json"), token(Json(content), "added_tokens.json"));
    }
    // What the fast tokenizer of the same folder has.
    const Json fast = optional_json("tokenizer.json").value("added_tokens", Json::array());
    if (!fast.is_array()) reject("added_tokens", text_of(fast), "a list of tokens");
    for (const Json& one : fast) {
      if (!one.is_object()) reject("added_tokens", text_of(one), "a list of tokens with their ids");
      list(whole_number(one.value("id", Json()), "added_tokens"), token(one, "added_tokens"));
    }
  }

  int64_t whole_number(const Json& json, std::string_view key) const {
    if (!json.is_number_integer() || json.get<double>() < 0 ||
        json.get<double>() >= static_cast<double>(kMaxVocabularySize)) {
      reject(key, text_of(json), fmt::format("an id from 0 to {}", kMaxVocabularySize - 1));
    }
    return json.get<int64_t>();
  }

  const fs::path& folder_;
  int64_t num_pieces_;
  SentencePieceFiles& files_;
  Json config_, map_;
  bool has_decoder_ = false;
};

}  // namespace

fs::path sentencepiece_file_in(const fs::path& folder) {
  std::error_code error;
  for (const char* name : kModelNames) {
    if (fs::exists(folder / name, error)) return folder / name;
  }
  return {};
}

SentencePieceFiles read_sentencepiece_file(const fs::path& path) {
  SentencePieceFiles files;
  files.source = printable(path.string(), 500);
  files.model = read_text(path);
  check_sentencepiece_model(files.model, files.source);
  return files;
}

SentencePieceFiles read_sentencepiece_folder(const fs::path& folder) {
  std::error_code error;
  const std::string source = printable(folder.string(), 500);
  if (!fs::is_directory(folder, error)) {
    fail("'{}' is not a folder; expected a tokenizer folder with spiece.model", source);
  }
  const fs::path model = sentencepiece_file_in(folder);
  if (model.empty()) {
    fail("the tokenizer folder '{}' has no SentencePiece model; expected {}, {} or {}", source,
         kModelNames[0], kModelNames[1], kModelNames[2]);
  }
  SentencePieceFiles files;
  files.source = source;
  files.from_folder = true;
  files.model = read_text(model);
  const int64_t num_pieces = check_sentencepiece_model(files.model, printable(model.string(), 500));
  FolderReader(folder, num_pieces, files).read(model.filename().string());
  return files;
}

}  // namespace easel::text
