// What --share asks of this process.
#pragma once

#include <cstdint>
#include <string>

#include "cli/drawing_options.h"

namespace easel::cli {

struct Share {
  enum class Kind { Alone, Part, Folder };
  Kind kind = Kind::Alone;
  int64_t part = 0;  // of Kind::Part: the batches whose number leaves it over `parts`
  int64_t parts = 1;
  int64_t lease_seconds = 120;

  bool alone() const { return kind == Kind::Alone; }
};

// Throws Error (Usage), also where `auto` finds no launcher.
Share read_share(const ShareOptions& options);

// Options that have no meaning where a run is shared. Throws Error (Usage).
void check_shareable(const DrawingOptions& options);

// The GPU that `device` means for a process of a shared run: under a launcher "auto" and "cuda" are
// the one of its number on its machine.
std::string shared_device(const std::string& device);

// "" or what to say where a launcher has started several processes and nothing is shared.
std::string unshared_notice();

}  // namespace easel::cli
