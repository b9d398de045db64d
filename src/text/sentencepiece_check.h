// Looks through a SentencePiece model before the library does: it reads the double array of the
// normalisation rules, and the memory behind it, wherever the file says.
#pragma once

#include <string>
#include <string_view>

namespace easel::text {

// Returns the number of pieces. Throws Error where `bytes` are no serialized ModelProto
// (sentencepiece_model.proto), where it has more pieces than any vocabulary, or where its rules
// lead outside themselves.
int64_t check_sentencepiece_model(std::string_view bytes, const std::string& source);

}  // namespace easel::text
