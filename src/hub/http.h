// HTTP through libcurl, as far as fetching needs it.
//
// Certificates are always checked; proxies are libcurl's own (http_proxy, https_proxy, no_proxy).
// Not to be shared between threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace easel {

struct HttpOptions {
  std::string token;                // sent as a bearer token; empty: none
  std::string token_for;            // an address; the token goes to its scheme, host and port only
  std::filesystem::path ca_bundle;  // certificates to trust; empty: the system's
  std::string user_agent;
  std::function<void()> check;  // called now and then; may throw to end a transfer
};

struct HttpResponse {
  long status = 0;                             // 0: there was none
  std::string url;                             // after redirections
  std::map<std::string, std::string> headers;  // names in lower case
  std::string text;                            // of an answer that is no success: its first bytes
  std::string error;                           // empty: the transfer is complete
  bool may_pass = false;  // the error, or the status, is one that may be gone when tried again

  std::string_view header(std::string_view name) const;
};

// Receives a success's bytes as they come. May throw to end the transfer.
using OnBody = std::function<void(const HttpResponse&, std::span<const std::byte>)>;

// Whether an answer that redirects, to another host or not, is itself what is asked for.
using StopAt = std::function<bool(const HttpResponse&, bool leaves_host)>;

// Whether two addresses have the same scheme, host and port.
bool is_same_origin(const std::string& a, const std::string& b);

// A path with all but letters, digits and "-._~" (and "/", if kept) written as %XX.
std::string url_quote(std::string_view text, bool keep_slashes);

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();

  // The headers only, of the first answer that `stop_at` takes or that is no redirection.
  HttpResponse head(const std::string& url, const StopAt& stop_at);

  // From byte `from` on, if the server can (status 206); else all.
  HttpResponse get(const std::string& url, uint64_t from, const OnBody& on_body);

  // Waits before another try; calls `check`.
  void pause(double seconds) const;

 private:
  struct Transfer;
  HttpResponse send_once(const std::string& url, bool head, uint64_t from, const OnBody& on_body);
  HttpResponse send(std::string url, bool head, uint64_t from, const StopAt& stop_at,
                    const OnBody& on_body);

  HttpOptions options_;
  std::unique_ptr<void, void (*)(void*)> curl_;
};

}  // namespace easel
