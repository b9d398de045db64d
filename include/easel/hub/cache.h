// The cache that huggingface_hub and programs on it share:
//
//   models--OWNER--NAME/blobs/HASH                       the files' bytes, named by their hash
//                       refs/REVISION                    the commit of a branch or tag
//                       snapshots/COMMIT/unet/config.json -> ../../../blobs/HASH
//   .locks/models--OWNER--NAME/HASH.lock                 held by whoever fetches that file
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <easel/hub/names.h>

namespace easel {

std::filesystem::path repo_folder(const std::filesystem::path& cache, const std::string& repo);

// The model as the cache holds it, whoever fetched it: a diffusers folder or a checkpoint; nullopt
// where that revision is not there at all. Throws Error where it is there only in part. Needs no
// network.
std::optional<std::filesystem::path> find_in_cache(const std::filesystem::path& cache,
                                                   const HubModel& model);

// The repositories in the cache, whole or in part, sorted; none where there is no cache.
std::vector<std::string> repos_in_cache(const std::filesystem::path& cache);

}  // namespace easel
