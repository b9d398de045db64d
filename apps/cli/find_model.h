// Which model is meant, from --ckpt, --model and what lies around.
#pragma once

#include <filesystem>

namespace easel::cli {

// A checkpoint or a diffusers folder. `asked` is a file, a folder (diffusers', or one that holds
// one checkpoint) or the name of such a folder in models/, here or in `data`, or a model of a hub
// that lies in the cache: OWNER/NAME, OWNER/NAME/FILE, either with @REVISION. Nothing is fetched.
// Empty: CompVis's models/ldm/stable-diffusion-v1/model.ckpt if it is there, else `shapes`, the
// model that comes with Easel. Throws Error saying how to get one.
std::filesystem::path find_model(const std::filesystem::path& asked,
                                 const std::filesystem::path& data);

// `asked` as it stands, or, where there is no such file, as it lies in `data` (CompVis's
// configs/stable-diffusion/v1-inference.yaml comes with Easel). Throws Error.
std::filesystem::path find_config(const std::filesystem::path& asked,
                                  const std::filesystem::path& data);

}  // namespace easel::cli
