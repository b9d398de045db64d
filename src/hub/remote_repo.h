// What a hub says about one revision of a repository.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <easel/hub/fetch.h>

#include "http.h"

namespace easel {

inline constexpr int kTries = 4;

struct RemoteListing {
  std::string commit;
  std::vector<std::string> files;
};

struct RemoteFile {
  std::string name;
  std::string url;
  std::string hash;  // is_file_hash
  uint64_t size = 0;
};

class RemoteRepo {
 public:
  RemoteRepo(HttpClient& http, const HubOptions& hub, const FetchRequest& request)
      : http_(http), hub_(hub), request_(request) {}

  // Every name in it is_repo_file.
  RemoteListing list();
  RemoteFile file(const std::string& name, const std::string& commit);

  // The Error for an answer that is no success. `asked` is what it was about.
  [[noreturn]] void refuse(const HttpResponse& response, const std::string& asked) const;

  // Between two tries.
  void pause() const { http_.pause(hub_.retry_seconds); }

 private:
  // Calls `send` until it succeeds, fails for good, or has failed kTries times.
  HttpResponse patiently(const std::function<HttpResponse()>& send) const;

  HttpClient& http_;
  const HubOptions& hub_;
  const FetchRequest& request_;
};

}  // namespace easel
