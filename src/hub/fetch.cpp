#include "easel/hub/fetch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <sys/statvfs.h>

#include <easel/base/error.h>
#include <easel/hub/cache.h>
#include <easel/hub/names.h>
#include <easel/io/file.h>

#include "blob.h"
#include "choose_files.h"
#include "http.h"
#include "remote_repo.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 1 << 20;
constexpr std::string_view kIndex = "model_index.json";

void check_request(const HubOptions& hub, const FetchRequest& request) {
  if (!is_repo_name(request.repo)) {
    fail_usage(
        "'{}' is no repository of a hub; expected OWNER/NAME, such as "
        "CompVis/stable-diffusion-v1-4",
        printable(request.repo));
  }
  if (!is_revision(request.revision)) {
    fail_usage("'{}' is no revision; expected a branch, a tag or a commit",
               printable(request.revision));
  }
  if (!request.file.empty() && !is_repo_file(request.file)) {
    fail_usage("'{}' is no file of a repository; expected a relative path",
               printable(request.file));
  }
  if (!hub.endpoint.starts_with("https://") && !hub.endpoint.starts_with("http://")) {
    fail_usage("HF_ENDPOINT is '{}', expected an address that begins with https:// or http://",
               printable(hub.endpoint));
  }
  const bool printable_token =
      std::all_of(hub.token.begin(), hub.token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable_token) {  // the message does not show it
    fail_usage("the token in HF_TOKEN (or HF_HOME/token) has blanks or other odd characters in it");
  }
}

void check_space(const fs::path& folder, uint64_t needed) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    fail("cannot read '{}': {}", folder.string(), std::strerror(errno));
  }
  const uint64_t free = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  if (free < needed) {
    fail(
        "'{}' has {} MiB free, and {} MiB are still to be fetched; make room, or set HF_HUB_CACHE "
        "to a folder with more",
        folder.string(), free >> 20, (needed >> 20) + 1);
  }
}

// Branches and tags are remembered with their commit; a commit needs no remembering.
void write_ref(const fs::path& folder, const std::string& revision, const std::string& commit) {
  if (revision == commit) return;
  const fs::path ref = folder / "refs" / revision;
  fs::create_directories(ref.parent_path());
  write_atomically(ref, IfExists::Replace, [&](FileWriter& out) { out.write(commit); });
}

// One fetch: the hub, the places, and how far it is.
class Fetch {
 public:
  Fetch(const HubOptions& hub, const FetchRequest& request, const FetchCallbacks& callbacks)
      : request_(request),
        callbacks_(callbacks),
        http_({.token = hub.token,
               .token_for = hub.endpoint,
               .ca_bundle = hub.ca_bundle,
               .user_agent = hub.user_agent,
               .check = callbacks.check}),
        repo_(http_, hub, request) {
    places_.folder = repo_folder(hub.cache, request.repo);
    places_.locks = hub.cache / ".locks" / places_.folder.filename();
  }

  fs::path run() {
    const RemoteListing listing = repo_.list();
    places_.snapshot = places_.folder / "snapshots" / listing.commit;
    fs::create_directories(places_.folder);
    const ChosenFiles chosen = choose(listing);

    std::vector<RemoteFile> files;
    uint64_t missing = 0;
    for (const std::string& name : chosen.files) {
      files.push_back(repo_.file(name, listing.commit));
      const RemoteFile& file = files.back();
      if (file.size > kMaxBytes || all_ > kMaxBytes) {
        fail("{}: the hub states {} bytes, which no model has", file.name, file.size);
      }
      all_ += file.size;
      missing += file.size - bytes_there(places_, file);
    }
    check_space(places_.folder, missing);
    for (const RemoteFile& file : files) {
      fetch_file(http_, repo_, places_, file, callbacks_,
                 [&](uint64_t bytes) { progress(file, bytes); });
      done_ += file.size;
    }
    // Last: who finds the revision finds all of it.
    write_ref(places_.folder, request_.revision, listing.commit);
    return chosen.checkpoint.empty() ? places_.snapshot : places_.snapshot / chosen.checkpoint;
  }

 private:
  static constexpr uint64_t kMaxBytes = uint64_t{1} << 44;

  ChosenFiles choose(const RemoteListing& listing) {
    const bool has_index =
        std::find(listing.files.begin(), listing.files.end(), kIndex) != listing.files.end();
    std::string index;
    if (request_.file.empty() && has_index) {
      const RemoteFile file = repo_.file(std::string(kIndex), listing.commit);
      if (file.size > kMaxIndexBytes) {
        fail("{}: the hub states {} bytes, expected at most {}", kIndex, file.size, kMaxIndexBytes);
      }
      fetch_file(http_, repo_, places_, file, callbacks_, [](uint64_t) {});
      index = read_text_file(places_.snapshot / kIndex, kMaxIndexBytes);
    }
    try {
      return choose_files(listing.files, index, request_.file, request_.variant);
    } catch (const Error& error) {
      fail("{} at {}: {}", request_.repo, request_.revision, error.what());
    }
  }

  void progress(const RemoteFile& file, uint64_t bytes) {
    if (callbacks_.check) callbacks_.check();
    if (callbacks_.on_progress) callbacks_.on_progress(file.name, done_ + bytes, all_);
  }

  const FetchRequest& request_;
  const FetchCallbacks& callbacks_;
  HttpClient http_;
  RemoteRepo repo_;
  RepoPlaces places_;
  uint64_t done_ = 0;  // bytes of the files before this one
  uint64_t all_ = 0;
};

}  // namespace

fs::path fetch_model(const HubOptions& hub, const FetchRequest& request,
                     const FetchCallbacks& callbacks) {
  check_request(hub, request);
  try {
    return Fetch(hub, request, callbacks).run();
  } catch (const fs::filesystem_error& error) {
    fail("cannot make the folder '{}': {}", error.path1().string(), error.code().message());
  }
}

}  // namespace easel
