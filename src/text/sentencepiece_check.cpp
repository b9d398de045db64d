#include "sentencepiece_check.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <unordered_map>

#include "bpe.h"
#include "easel/base/error.h"

namespace easel::text {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr uint64_t kPieces = 1, kNormalizer = 3, kDenormalizer = 5;  // of ModelProto
constexpr uint64_t kRules = 2;                                       // of NormalizerSpec

[[noreturn]] void refuse(const std::string& source, std::string_view what) {
  fail("'{}' is no SentencePiece model, or it is truncated or corrupt: {}", source, what);
}

uint64_t read_varint(std::string_view& bytes, const std::string& source) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (bytes.empty()) refuse(source, "it ends within a number");
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  refuse(source, "a number has more than 64 bits");
}

// Hands over the number and the bytes of every field that has bytes (wire type 2).
template <class OnField>
void for_each_field(std::string_view bytes, const std::string& source, OnField on_field) {
  while (!bytes.empty()) {
    const uint64_t tag = read_varint(bytes, source);
    uint64_t size = 0;
    switch (tag & 7) {
      case 0:
        read_varint(bytes, source);
        break;
      case 1:
        size = 8;
        break;
      case 2:
        size = read_varint(bytes, source);
        break;
      case 5:
        size = 4;
        break;
      default:
        refuse(source, "a field has no known type");
    }
    if (tag >> 3 == 0) refuse(source, "a field has the number 0");
    if (size > bytes.size()) refuse(source, "a field reaches beyond the end");
    if ((tag & 7) == 2) on_field(tag >> 3, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

// The units of a darts-clone double array, walked from its root as its search does: a node with the
// base b has the children b ^ c whose label is the byte c, and if it is the end of a rule, the
// place of the replacement stands at b.
class RulesWalk {
 public:
  RulesWalk(std::string_view units, size_t num_replaced, const std::string& source)
      : units_(units), num_units_(units.size() / 4), num_replaced_(num_replaced), source_(source) {}

  void run() {
    if (units_.size() % 4 != 0 || num_units_ == 0) refuse(source_, "its rules have no whole units");
    walk(offset(unit(0)), 0);
  }

 private:
  static constexpr int kMaxRuleBytes = 256;  // in NFKC's rules: about 40
  static constexpr int kMaxMatches = 32;     // the library keeps so many on its stack

  uint32_t unit(size_t at) const {
    if (at >= num_units_) refuse(source_, "its normalisation rules lead outside themselves");
    uint32_t value = 0;
    std::memcpy(&value, units_.data() + 4 * at, 4);
    return value;
  }
  static size_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
  static uint32_t label(uint32_t unit) { return unit & ((1U << 31) | 0xFF); }
  static bool ends_rule(uint32_t unit) { return (unit >> 8 & 1) == 1; }

  // Returns how many rules can match one behind the other from the node on.
  int walk(size_t base, int depth) {
    if (depth > kMaxRuleBytes) refuse(source_, "its normalisation rules have no end");
    if (const auto known = matches_.find(base); known != matches_.end()) {
      // Depths differ between the ways to a node: a cycle shows where the walk is still inside.
      if (known->second < 0) refuse(source_, "its normalisation rules lead in a circle");
      return known->second;
    }
    matches_[base] = -1;
    int longest = 0;
    for (size_t byte = 0; byte < 256; ++byte) {
      const size_t at = base ^ byte;
      const uint32_t child = unit(at);
      if (label(child) != byte) continue;
      const size_t next = at ^ offset(child);
      if (ends_rule(child) && (unit(next) & 0x7FFFFFFFU) >= num_replaced_) {
        refuse(source_, "a normalisation rule has no replacement");
      }
      longest = std::max(longest, walk(next, depth + 1) + (ends_rule(child) ? 1 : 0));
    }
    if (longest > kMaxMatches) refuse(source_, "too many of its normalisation rules nest");
    matches_[base] = longest;
    return longest;
  }

  std::string_view units_;
  size_t num_units_, num_replaced_;
  const std::string& source_;
  std::unordered_map<size_t, int> matches_;
};

// precompiled_charsmap: the size of the double array, the array, the replacements (each ends in a
// zero byte, which the library's copy has behind the last one too).
void check_rules(std::string_view rules, const std::string& source) {
  if (rules.empty()) return;
  uint32_t size = 0;
  if (rules.size() < sizeof size) refuse(source, "its normalisation rules are cut");
  std::memcpy(&size, rules.data(), sizeof size);
  rules.remove_prefix(sizeof size);
  if (size >= rules.size()) refuse(source, "its normalisation rules are cut");
  RulesWalk(rules.substr(0, size), rules.size() - size, source).run();
}

}  // namespace

int64_t check_sentencepiece_model(std::string_view bytes, const std::string& source) {
  int64_t num_pieces = 0;
  for_each_field(bytes, source, [&](uint64_t number, std::string_view field) {
    if (number == kPieces && ++num_pieces > kMaxVocabularySize) {
      fail("'{}' has more than {} pieces, which no vocabulary has", source, kMaxVocabularySize);
    }
    if (number != kNormalizer && number != kDenormalizer) return;
    for_each_field(field, source, [&](uint64_t inner, std::string_view value) {
      if (inner == kRules) check_rules(value, source);
    });
  });
  if (num_pieces == 0) refuse(source, "it has no pieces");
  return num_pieces;
}

}  // namespace easel::text
