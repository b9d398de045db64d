// Names on a Hugging Face compatible hub, checked before they become a path or part of an address.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace easel {

// A repository as huggingface_hub allows it, with its owner: "CompVis/stable-diffusion-v1-4".
bool is_repo_name(std::string_view name);

// A branch, a tag, a commit, "refs/pr/1".
bool is_revision(std::string_view name);

// A relative path of plain parts: no "..", no backslash, no control characters, UTF-8.
bool is_repo_file(std::string_view name);

// 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text);

struct HubModel {
  std::string repo;
  std::string file;  // empty: the diffusers folder, or the only checkpoint
  std::string revision = "main";
};

// "owner/name", "owner/name/file.ckpt", either with "@revision" at the end.
std::optional<HubModel> parse_hub_model(std::string_view text);
std::string hub_model_text(const HubModel& model);

// The words after `easel-checkpoint fetch` that get a model.
std::string fetch_words(const HubModel& model);

}  // namespace easel
