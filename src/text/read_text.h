// Whole files of a tokenizer. They are untrusted: sizes are bounded.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace easel::text {

// The whole file, decompressed if it is a gzip file. Throws Error.
std::string read_text(const std::filesystem::path& path);

// The file as a JSON object. Throws Error.
nlohmann::json parse_json(const std::filesystem::path& path);

}  // namespace easel::text
