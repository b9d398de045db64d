// What a prompt is read as, for a person. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <string>

#include <easel/pipeline/open_model.h>
#include <easel/pipeline/settings.h>

namespace easel {

// Tags, composition, the schedule in steps, and each text's chunks with their tokens and weights;
// of the model only its config, its tokenizer and the embeddings are read. Throws Error as
// make_guidance does.
std::string explain_prompt(const ModelRequest& model, const std::string& prompt,
                           const PictureSettings& settings);

}  // namespace easel
