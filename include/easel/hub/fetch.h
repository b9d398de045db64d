// Fetches models from a Hugging Face compatible hub into the cache that huggingface_hub shares.
//
// Every file is checked by the size and the hash that the hub states for it, and appears in the
// cache whole or not at all. What was fetched when a transfer ended stays in blobs/HASH.incomplete,
// where the next one, ours or huggingface_hub's, goes on. Two at once take turns file by file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <easel/base/progress.h>

namespace easel {

struct HubOptions {
  std::filesystem::path cache;  // holds models--OWNER--NAME
  std::string endpoint = "https://huggingface.co";
  std::string token;                // is sent to the endpoint only; empty: none
  std::filesystem::path ca_bundle;  // certificates to trust; empty: the system's
  std::string user_agent = "easel";
  double retry_seconds = 1;  // before a transfer that broke off is tried again
};

struct FetchRequest {
  std::string repo;  // "CompVis/stable-diffusion-v1-4"
  std::string revision = "main";
  std::string file;     // one checkpoint; empty: the diffusers folder, or the only checkpoint
  std::string variant;  // of a diffusers folder's weights: "fp16"; empty: plain
};

struct FetchCallbacks {
  Log log;
  // Bytes that are there and all bytes of the request, with the file under way.
  std::function<void(std::string_view file, uint64_t done, uint64_t all)> on_progress;
  std::function<void()> check;  // called some times a second; may throw to end the fetch
};

// Returns the snapshot's folder or the checkpoint in it. Throws Error saying what the hub refused
// and what to do.
std::filesystem::path fetch_model(const HubOptions& hub, const FetchRequest& request,
                                  const FetchCallbacks& callbacks);

}  // namespace easel
