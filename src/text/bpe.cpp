#include "bpe.h"

#include <queue>
#include <tuple>

#include <utf8proc.h>

#include "easel/base/error.h"
#include "unicode.h"

namespace easel::text {
namespace {

std::array<int32_t, 256> alphabet_code_points() {
  std::array<int32_t, 256> out{};
  int32_t next = 0x100;
  for (size_t byte = 0; byte < 256; ++byte)
    out[byte] = stands_for_itself(byte) ? static_cast<int32_t>(byte) : next++;
  return out;
}

struct Symbol {
  int64_t id;
  int64_t previous, next;  // positions in the word, or -1
  bool merged;             // into its predecessor
};

struct Candidate {
  int64_t rank, position, result;
  // The queue's top is the merge of the lowest rank, the leftmost of these.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, position) > std::tie(other.rank, other.position);
  }
};

}  // namespace

const std::array<std::string, 256>& byte_alphabet() {
  static const auto alphabet = [] {
    std::array<std::string, 256> out;
    const auto code_points = alphabet_code_points();
    for (size_t byte = 0; byte < 256; ++byte) {
      utf8proc_uint8_t bytes[4];
      const auto size = utf8proc_encode_char(code_points[byte], bytes);
      out[byte].assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    return out;
  }();
  return alphabet;
}

std::string token_bytes(std::string_view token) {
  static const auto bytes_of = [] {
    std::unordered_map<int32_t, char> out;
    const auto code_points = alphabet_code_points();
    for (size_t byte = 0; byte < 256; ++byte) out[code_points[byte]] = static_cast<char>(byte);
    return out;
  }();
  std::string out;
  for (size_t i = 0; i < token.size();) {
    const auto found = bytes_of.find(next_code_point(token, i));
    if (found == bytes_of.end()) return std::string(token);
    out += found->second;
  }
  return out;
}

Bpe::Bpe(const Vocabulary& vocabulary, const Merges& merges, int64_t unknown,
         std::string_view source) {
  const auto id_of = [&](const std::string& token) {
    const auto found = vocabulary.find(token);
    return found == vocabulary.end() ? int64_t{-1} : found->second;
  };
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string& symbol = byte_alphabet()[byte];
    inner_[byte] = id_of(symbol);
    last_[byte] = id_of(symbol + std::string(kEndOfWord));
    if (inner_[byte] < 0) inner_[byte] = unknown;
    if (last_[byte] < 0) last_[byte] = unknown;
  }
  merges_.reserve(merges.size());
  int64_t rank = 0;
  for (const auto& [left, right] : merges) {
    const int64_t left_id = id_of(left), right_id = id_of(right), result = id_of(left + right);
    if (left_id < 0 || right_id < 0 || result < 0)
      fail(
          "'{}': merge {} ('{} {}') has a part or a result that is not in the vocabulary; the two "
          "files do not belong together or are corrupt",
          source, rank + 1, printable(left, 40), printable(right, 40));
    merges_.emplace(key(left_id, right_id), Merge{rank++, result});
  }
}

void Bpe::append_word(std::string_view word, std::vector<int64_t>& out) const {
  const auto size = static_cast<int64_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (int64_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<size_t>(i)]);
    const bool is_last = i + 1 == size;
    symbols[static_cast<size_t>(i)] = {is_last ? last_[byte] : inner_[byte], i - 1,
                                       is_last ? -1 : i + 1, false};
  }
  const auto at = [&](int64_t position) -> Symbol& {
    return symbols[static_cast<size_t>(position)];
  };
  std::priority_queue<Candidate> candidates;
  const auto offer = [&](int64_t left) {
    if (left < 0 || at(left).next < 0) return;
    const auto found = merges_.find(key(at(left).id, at(at(left).next).id));
    if (found != merges_.end()) candidates.push({found->second.rank, left, found->second.result});
  };
  for (int64_t i = 0; i + 1 < size; ++i) offer(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = at(best.position);
    if (left.merged || left.next < 0) continue;
    Symbol& right = at(left.next);
    // Earlier merges may have changed the pair since it was offered.
    const auto found = merges_.find(key(left.id, right.id));
    if (found == merges_.end() || found->second.result != best.result) continue;
    left.id = best.result;
    right.merged = true;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  for (int64_t i = 0; i >= 0; i = at(i).next) out.push_back(at(i).id);
}

}  // namespace easel::text
