// Which of this machine's addresses another machine sees.
#pragma once

#include <string>

namespace easel {

// The numerical address from which packets to `host` leave this machine; "" where there is no way
// to it. Nothing is sent but what looking up the name takes.
std::string local_address_towards(const std::string& host);

}  // namespace easel
