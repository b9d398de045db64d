#include "cli/process_rank.h"

#include <cstdlib>
#include <optional>
#include <string_view>

#include <easel/base/error.h>
#include <easel/base/fields.h>

namespace easel::cli {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

std::optional<int64_t> number(const char* name) {
  const std::string_view text = variable(name);
  if (text.empty()) return std::nullopt;
  int64_t value = 0;
  if (!parse_field(text, value)) {
    fail_usage("the environment variable {} is '{}', expected a number", name, printable(text));
  }
  return value;
}

struct Launcher {
  const char* rank;
  const char* world;
  const char* local_rank;
};
constexpr Launcher kTorchrun{"RANK", "WORLD_SIZE", "LOCAL_RANK"};
constexpr Launcher kSrun{"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"};
constexpr Launcher kMpirun{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                           "OMPI_COMM_WORLD_LOCAL_RANK"};

}  // namespace

ProcessPlace process_place() {
  ProcessPlace place;
  for (const Launcher& launcher : {kTorchrun, kSrun, kMpirun}) {
    const auto rank = number(launcher.rank);
    const auto world = number(launcher.world);
    if (!rank || !world) continue;
    place.rank = *rank;
    place.world = *world;
    place.local_rank = number(launcher.local_rank).value_or(*rank);
    break;
  }
  if (const auto port = number("MASTER_PORT")) place.master_port = *port;
  if (const std::string_view address = variable("MASTER_ADDR"); !address.empty()) {
    place.master_address = address;
  } else if (number("SLURM_NNODES").value_or(1) > 1 && place.world > 1) {
    fail_usage(
        "{} processes on several machines, and no MASTER_ADDR: set it to the first machine's name, "
        "as scontrol show hostnames gives it",
        place.world);
  }
  place.store_is_served = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  return place;
}

}  // namespace easel::cli
