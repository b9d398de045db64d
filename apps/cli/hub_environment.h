// Where models of a hub lie and come from, from the variables that huggingface_hub reads.
#pragma once

#include <easel/hub/fetch.h>

namespace easel::cli {

// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME (else XDG_CACHE_HOME, else ~/.cache), HF_ENDPOINT,
// HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH (else HF_HOME/token), SSL_CERT_FILE.
HubOptions hub_from_environment();

// HF_HUB_OFFLINE: nothing may be fetched.
bool is_offline();

}  // namespace easel::cli
