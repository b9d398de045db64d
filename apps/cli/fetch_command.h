// easel-checkpoint fetch.
#pragma once

#include <string_view>

#include <easel/hub/fetch.h>

namespace easel::cli {

// Fetches into the cache that the environment names, and prints where the model lies; its progress
// goes to the standard error in the style of that name. Ctrl-C ends it with Error (Interrupted).
void fetch(const FetchRequest& request, std::string_view progress);

}  // namespace easel::cli
