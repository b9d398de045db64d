// metadata.jsonl of Hugging Face's imagefolder.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace easel {

// Captions by file, the path lexically normal and relative to the folder of metadata.jsonl; empty
// where the line has none.
using PictureMetadata = std::map<std::filesystem::path, std::vector<std::string>>;

// Reads `file`, taking each caption from the key `caption_key`. Adds the keys that lines have to
// `keys` (at most 100, for messages). Throws Error naming FILE:LINE where a line is no JSON object
// with a file_name inside the folder that exists and is listed once, or its caption is neither text
// nor a list of texts.
PictureMetadata read_picture_metadata(const std::filesystem::path& file,
                                      const std::string& caption_key,
                                      std::vector<std::string>& keys);

}  // namespace easel
