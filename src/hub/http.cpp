#include "http.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <thread>

#include <curl/curl.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr size_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kMaxErrorText = 4096;
constexpr int kMaxRedirects = 8;
constexpr long kConnectSeconds = 20;
constexpr long kStalledSeconds = 60;

using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

void add_header(Headers& list, const std::string& line) {
  curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)list.release();
  list.reset(longer);
}

// "https://host:443" of an address; empty where it is none.
std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  std::string origin;
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    origin.append(text).append("|");
    curl_free(text);
  }
  std::transform(origin.begin(), origin.end(), origin.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return origin;
}

bool may_pass(CURLcode code) {
  constexpr std::array kPassing = {CURLE_PARTIAL_FILE,      CURLE_RECV_ERROR, CURLE_SEND_ERROR,
                                   CURLE_GOT_NOTHING,       CURLE_HTTP2,      CURLE_HTTP2_STREAM,
                                   CURLE_OPERATION_TIMEDOUT};
  return std::find(kPassing.begin(), kPassing.end(), code) != kPassing.end();
}

bool may_pass(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  const auto found = headers.find(std::string(name));
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

bool is_same_origin(const std::string& a, const std::string& b) {
  const std::string origin = origin_of(a);
  return !origin.empty() && origin == origin_of(b);
}

std::string url_quote(std::string_view text, bool keep_slashes) {
  constexpr std::string_view kPlain = "0123456789-._~";
  std::string quoted;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       kPlain.find(c) != std::string_view::npos || (keep_slashes && c == '/');
    if (plain) {
      quoted += c;
    } else {
      quoted += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return quoted;
}

// One request on its way, as libcurl's callbacks see it.
struct HttpClient::Transfer {
  HttpResponse response;
  const HttpOptions& options;
  const OnBody& on_body;
  size_t header_bytes = 0;
  std::exception_ptr thrown;

  // Exceptions do not pass through libcurl, which is C.
  template <class Work>
  bool guarded(Work&& work) {
    try {
      work();
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }

  void take_header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) fail("{}: the answer's headers never end", response.url);
    if (line.starts_with("HTTP/")) {  // also after "100 Continue" and a proxy's own answer
      response.headers.clear();
      return;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::string_view value = line.substr(colon + 1);
    constexpr std::string_view kSpace = " \t\r\n";
    const size_t begin = std::min(value.find_first_not_of(kSpace), value.size());
    response.headers[name] = value.substr(begin, value.find_last_not_of(kSpace) + 1 - begin);
  }

  void take_body(std::span<const std::byte> bytes) {
    if (response.status >= 200 && response.status < 300) {
      if (on_body) on_body(response, bytes);
      return;
    }
    const size_t room = kMaxErrorText - std::min(kMaxErrorText, response.text.size());
    response.text.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
  }
};

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), curl_(nullptr, &curl_easy_cleanup) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started == CURLE_OK) curl_.reset(curl_easy_init());
  if (!curl_) fail("libcurl cannot be started");
}

HttpClient::~HttpClient() = default;

void HttpClient::pause(double seconds) const {
  for (int tenths = static_cast<int>(seconds * 10); tenths > 0; --tenths) {
    if (options_.check) options_.check();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

HttpResponse HttpClient::send_once(const std::string& url, bool head, uint64_t from,
                                   const OnBody& on_body) {
  CURL* const curl = curl_.get();
  curl_easy_reset(curl);  // keeps connections
  Transfer transfer{.response = {}, .options = options_, .on_body = on_body, .thrown = {}};
  transfer.response.url = url;

  Headers headers(nullptr, &curl_slist_free_all);
  add_header(headers, "Accept-Encoding: identity");  // sizes are those of the files
  if (!options_.token.empty() && is_same_origin(url, options_.token_for)) {
    add_header(headers, "Authorization: Bearer " + options_.token);
  }
  const std::string range = fmt::format("{}-", from);
  std::array<char, CURL_ERROR_SIZE> reason{};

  bool good = true;
  const auto set = [&](CURLoption option, auto value) {
    good = curl_easy_setopt(curl, option, value) == CURLE_OK && good;
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOBODY, head ? 1L : 0L);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  set(CURLOPT_ERRORBUFFER, reason.data());
  if (!options_.ca_bundle.empty()) set(CURLOPT_CAINFO, options_.ca_bundle.c_str());
  if (from > 0) set(CURLOPT_RANGE, range.c_str());

  using OnBytes = size_t (*)(char*, size_t, size_t, void*);
  set(CURLOPT_HEADERFUNCTION,
      static_cast<OnBytes>([](char* data, size_t, size_t size, void* user) -> size_t {
        auto& at = *static_cast<Transfer*>(user);
        return at.guarded([&] { at.take_header({data, size}); }) ? size : 0;
      }));
  set(CURLOPT_HEADERDATA, &transfer);
  struct Body {
    Transfer& transfer;
    CURL* curl;
  } body{transfer, curl};
  set(CURLOPT_WRITEFUNCTION,
      static_cast<OnBytes>([](char* data, size_t, size_t size, void* user) -> size_t {
        const auto& at = *static_cast<Body*>(user);
        curl_easy_getinfo(at.curl, CURLINFO_RESPONSE_CODE, &at.transfer.response.status);
        const auto bytes = std::as_bytes(std::span(data, size));
        // Returning another number ends the transfer; so does 0, unless nothing came.
        return at.transfer.guarded([&] { at.transfer.take_body(bytes); }) ? size
                                                                          : CURL_WRITEFUNC_ERROR;
      }));
  set(CURLOPT_WRITEDATA, &body);
  using OnTime = int (*)(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  set(CURLOPT_XFERINFOFUNCTION,
      static_cast<OnTime>([](void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
        auto& at = *static_cast<Transfer*>(user);
        return at.guarded([&] {
          if (at.options.check) at.options.check();
        })
                   ? 0
                   : 1;
      }));
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  if (!good) fail("libcurl does not take the options of a transfer; is it older than 7.85?");

  const CURLcode code = curl_easy_perform(curl);
  HttpResponse& response = transfer.response;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
  // The handle's next user brings its own; these end here.
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, nullptr);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (code != CURLE_OK) {
    response.error = reason[0] != '\0' ? reason.data() : curl_easy_strerror(code);
    response.may_pass = may_pass(code);
  } else {
    response.may_pass = may_pass(response.status);
  }
  return std::move(response);
}

HttpResponse HttpClient::send(std::string url, bool head, uint64_t from, const StopAt& stop_at,
                              const OnBody& on_body) {
  const std::string first = url;
  for (int redirects = 0;; ++redirects) {
    HttpResponse response = send_once(url, head, from, on_body);
    const bool redirected = response.error.empty() && response.status >= 300 &&
                            response.status < 400 && response.status != 304;
    if (!redirected) return response;
    char* target = nullptr;
    curl_easy_getinfo(curl_.get(), CURLINFO_REDIRECT_URL, &target);
    if (target == nullptr) fail("{}: is redirected to nowhere", url);
    const std::string next = target;
    if (stop_at && stop_at(response, !is_same_origin(url, next))) return response;
    const bool secure = next.starts_with("https://");
    if (!secure && (!next.starts_with("http://") || url.starts_with("https://"))) {
      fail("{}: is redirected to {}, which is not followed: expected https{}", first,
           printable(next), url.starts_with("https://") ? "" : " or http");
    }
    if (redirects == kMaxRedirects) fail("{}: is redirected more than {} times", first, redirects);
    url = next;
  }
}

HttpResponse HttpClient::head(const std::string& url, const StopAt& stop_at) {
  return send(url, true, 0, stop_at, {});
}

HttpResponse HttpClient::get(const std::string& url, uint64_t from, const OnBody& on_body) {
  return send(url, false, from, {}, on_body);
}

}  // namespace easel
