#include "local_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace easel {
namespace {

std::string local_end(const struct addrinfo& way) {
  const int end = ::socket(way.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (end < 0) return {};
  struct sockaddr_storage address {};
  socklen_t size = sizeof address;
  char text[NI_MAXHOST] = {};
  // Connecting a datagram socket chooses the way and does no more.
  const bool found = ::connect(end, way.ai_addr, way.ai_addrlen) == 0 &&
                     ::getsockname(end, reinterpret_cast<struct sockaddr*>(&address), &size) == 0 &&
                     ::getnameinfo(reinterpret_cast<struct sockaddr*>(&address), size, text,
                                   sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
  ::close(end);
  return found ? text : std::string();
}

}  // namespace

std::string local_address_towards(const std::string& host) {
  struct addrinfo hints {};
  hints.ai_socktype = SOCK_DGRAM;
  struct addrinfo* ways = nullptr;
  // Some port is needed; which one it is does not matter.
  if (::getaddrinfo(host.c_str(), "9", &hints, &ways) != 0) return {};
  std::string address;
  for (const auto* way = ways; way != nullptr && address.empty(); way = way->ai_next) {
    address = local_end(*way);
  }
  ::freeaddrinfo(ways);
  return address;
}

}  // namespace easel
