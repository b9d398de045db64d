// Which files of a repository a model needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace easel {

struct ChosenFiles {
  std::vector<std::string> files;
  std::string checkpoint;  // the file to open; empty: the folder is the model
};

// `names` is what there is, `index` the text of model_index.json, empty where there is none.
//
// A diffusers folder: the settings of each part that its index names, and one set of weights a
// part: .safetensors before .bin, whole or sharded, of the `variant` ("fp16") that is asked for;
// parts that lack the variant give their plain ones. The safety checker and its feature extractor
// are left out: nothing here reads them.
//
// Else, or where `file` is not empty, one checkpoint: `file`, or the only one at the top; and its
// .yaml and .txt2img.json beside it. Throws Error naming what is missing.
ChosenFiles choose_files(const std::vector<std::string>& names, std::string_view index,
                         std::string_view file, std::string_view variant);

}  // namespace easel
