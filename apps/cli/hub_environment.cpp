#include "cli/hub_environment.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "cli/program.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTokenBytes = 4096;

// The first of the variables that is set to something.
std::string variable(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

fs::path with_home(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  return fs::path(variable({"HOME"})) / path.substr(path == "~" ? 1 : 2);
}

fs::path hub_home() {
  if (const std::string home = variable({"HF_HOME"}); !home.empty()) return with_home(home);
  const std::string cache = variable({"XDG_CACHE_HOME"});
  return with_home(cache.empty() ? "~/.cache" : cache) / "huggingface";
}

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  return text.substr(begin);
}

std::string token_of(const fs::path& home) {
  const std::string token = trimmed(variable({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  if (!token.empty()) return token;
  const std::string asked = variable({"HF_TOKEN_PATH"});
  const fs::path file = asked.empty() ? home / "token" : with_home(asked);
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return {};
  return trimmed(read_text_file(file, kMaxTokenBytes));
}

}  // namespace

HubOptions hub_from_environment() {
  const fs::path home = hub_home();
  HubOptions hub;
  const std::string cache = variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  hub.cache = cache.empty() ? home / "hub" : with_home(cache);
  if (const std::string endpoint = variable({"HF_ENDPOINT"}); !endpoint.empty()) {
    hub.endpoint = endpoint;
    while (hub.endpoint.ends_with('/')) hub.endpoint.pop_back();
  }
  hub.token = token_of(home);
  hub.ca_bundle = variable({"SSL_CERT_FILE"});
  hub.user_agent = fmt::format("easel/{}", version());
  return hub;
}

bool is_offline() {
  const std::string value = variable({"HF_HUB_OFFLINE"});
  return value == "1" || value == "true" || value == "TRUE" || value == "True" || value == "yes" ||
         value == "YES" || value == "on" || value == "ON";
}

}  // namespace easel::cli
