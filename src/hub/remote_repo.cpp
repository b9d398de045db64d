#include "remote_repo.h"

#include <charconv>
#include <set>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/hub/names.h>

#include "digest.h"

namespace easel {
namespace {

constexpr size_t kMaxListingBytes = 32 << 20;
constexpr int kMaxListingDepth = 32;

std::string_view unquoted_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return etag;
}

// Refuses deep nesting, on which a parser's recursion could run out of stack.
nlohmann::json parse_listing(const std::string& text) {
  using Json = nlohmann::json;
  const auto cap = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxListingDepth) fail("it is nested more than {} levels deep", kMaxListingDepth);
    return true;
  };
  return Json::parse(text, cap, false);
}

}  // namespace

HttpResponse RemoteRepo::patiently(const std::function<HttpResponse()>& send) const {
  for (int tries = 1;; ++tries) {
    HttpResponse response = send();
    if (!response.may_pass || tries == kTries) return response;
    pause();
  }
}

void RemoteRepo::refuse(const HttpResponse& response, const std::string& asked) const {
  const std::string& repo = request_.repo;
  if (!response.error.empty()) {
    fail(
        "{}: no answer from {}: {}; is the network there (a proxy is taken from https_proxy, "
        "another hub from HF_ENDPOINT)?",
        asked, printable(response.url), printable(response.error));
  }
  const std::string_view code = response.header("x-error-code");
  const bool has_token = !hub_.token.empty();
  const std::string page = hub_.endpoint + "/" + repo;
  switch (response.status) {
    case 401:
    case 403:
      if (code == "GatedRepo" || response.status == 403) {
        fail("{}: the hub refuses access (status {}): {}", asked, response.status,
             has_token ? fmt::format("the model may be gated, and the token's account must be let "
                                     "in first; see {}",
                                     page)
                       : fmt::format("the model is gated; ask for access at {}, and give a token "
                                     "of that account in HF_TOKEN",
                                     page));
      }
      fail("{}: the hub asks who you are (status 401): {}", asked,
           has_token ? "the token in HF_TOKEN (or in HF_HOME/token) is not accepted for it, or "
                       "there is no such repository"
                     : "there is no such repository, or it needs a token in HF_TOKEN (or in "
                       "HF_HOME/token)");
    case 404:
      if (code == "RevisionNotFound") {
        fail("{}: there is no revision '{}' (status 404); see {}/tree/main", asked,
             request_.revision, page);
      }
      fail("{}: the hub at {} has no such {} (status 404: {})", asked, hub_.endpoint,
           code == "EntryNotFound" ? "file" : "repository, revision or file",
           printable(response.url));
    case 429:
      fail("{}: the hub says that it is asked too often (status 429); try again later", asked);
    default:
      fail("{}: {} answers with status {}, expected 200{}", asked, printable(response.url),
           response.status,
           response.text.empty() ? std::string() : ": " + printable(response.text));
  }
}

RemoteListing RemoteRepo::list() {
  const std::string asked = fmt::format("{} at {}", request_.repo, request_.revision);
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", hub_.endpoint, request_.repo,
                                      url_quote(request_.revision, false));
  std::string text;
  const HttpResponse response = patiently([&] {
    text.clear();
    return http_.get(url, 0, [&](const HttpResponse&, std::span<const std::byte> bytes) {
      if (bytes.size() > kMaxListingBytes - text.size()) {
        fail("{}: the list of files is larger than the {} bytes that are allowed", asked,
             kMaxListingBytes);
      }
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
  });
  if (!response.error.empty() || response.status != 200) refuse(response, asked);

  const nlohmann::json json = parse_listing(text);
  if (!json.is_object() || !json.contains("sha") || !json["sha"].is_string() ||
      !json.contains("siblings") || !json["siblings"].is_array()) {
    fail(
        "{}: {} does not answer as a hub does: got '{}', expected JSON with \"sha\" and "
        "\"siblings\"; is HF_ENDPOINT right?",
        asked, printable(url), printable(text, 60));
  }
  RemoteListing listing{.commit = json["sha"].get<std::string>(), .files = {}};
  if (!is_commit(listing.commit)) {
    fail("{}: the hub states the commit '{}', expected 40 hexadecimal digits", asked,
         printable(listing.commit));
  }
  std::set<std::string> names;
  for (const auto& sibling : json["siblings"]) {
    const auto name = sibling.is_object() ? sibling.value("rfilename", nlohmann::json()) : sibling;
    if (!name.is_string() || !is_repo_file(name.get_ref<const std::string&>())) {
      fail("{}: the hub lists a file named {}, which is no safe relative path; nothing is fetched",
           asked, printable(name.is_string() ? name.get<std::string>() : name.dump()));
    }
    names.insert(name.get<std::string>());
  }
  listing.files.assign(names.begin(), names.end());
  return listing;
}

RemoteFile RemoteRepo::file(const std::string& name, const std::string& commit) {
  RemoteFile file{.name = name,
                  .url = fmt::format("{}/{}/resolve/{}/{}", hub_.endpoint, request_.repo, commit,
                                     url_quote(name, true)),
                  .hash = {},
                  .size = 0};
  const std::string asked = fmt::format("{}/{}", request_.repo, name);
  // Large files are redirected to a store, whose own headers say less than the hub's answer.
  const auto stop_at = [](const HttpResponse& response, bool leaves_host) {
    return !response.header("x-linked-etag").empty() ||
           (leaves_host && !response.header("etag").empty());
  };
  const HttpResponse response = patiently([&] { return http_.head(file.url, stop_at); });
  if (!response.error.empty() || response.status >= 400) refuse(response, asked);
  const bool linked = !response.header("x-linked-etag").empty();
  const std::string_view etag = unquoted_etag(response.header(linked ? "x-linked-etag" : "etag"));
  const std::string_view stated = response.header("x-linked-size");
  const std::string_view size = stated.empty() ? response.header("content-length") : stated;
  if (!is_file_hash(etag)) {
    fail(
        "{}: the hub states '{}' as the file's hash, expected SHA-256 or Git's SHA-1; without it "
        "the file cannot be checked and is not fetched",
        asked, printable(etag));
  }
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), file.size);
  if (size.empty() || error != std::errc() || end != size.data() + size.size()) {
    fail("{}: the hub states '{}' as the file's size, expected a number of bytes", asked,
         printable(size));
  }
  file.hash = etag;
  return file;
}

}  // namespace easel
