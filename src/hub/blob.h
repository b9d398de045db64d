// One file on its way into the cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <easel/hub/fetch.h>

#include "http.h"
#include "remote_repo.h"

namespace easel {

// Where a repository's files lie.
struct RepoPlaces {
  std::filesystem::path folder;    // models--OWNER--NAME
  std::filesystem::path snapshot;  // its snapshots/COMMIT
  std::filesystem::path locks;

  std::filesystem::path blob(const RemoteFile& file) const { return folder / "blobs" / file.hash; }
  std::filesystem::path incomplete(const RemoteFile& file) const {
    return folder / "blobs" / (file.hash + ".incomplete");
  }
};

// How much of `file` is there already, whole or incomplete.
uint64_t bytes_there(const RepoPlaces& places, const RemoteFile& file);

// Makes snapshot/NAME a link to the file's bytes, which are fetched where they are not there.
// `on_bytes` is told how many of them there are.
void fetch_file(HttpClient& http, const RemoteRepo& repo, const RepoPlaces& places,
                const RemoteFile& file, const FetchCallbacks& callbacks,
                const std::function<void(uint64_t)>& on_bytes);

}  // namespace easel
