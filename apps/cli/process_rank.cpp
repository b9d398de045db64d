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
constexpr Launcher kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"},
};

}  // namespace

std::optional<LaunchedRank> launched_rank() {
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = number(launcher.rank);
    const auto world = number(launcher.world);
    if (!rank || !world) continue;
    if (*rank < 0 || *rank >= *world) {
      fail_usage(
          "the environment has {}={} and {}={}; expected a rank from 0 to one less than the number "
          "of processes",
          launcher.rank, *rank, launcher.world, *world);
    }
    return LaunchedRank{.rank = *rank,
                        .world = *world,
                        .local_rank = number(launcher.local_rank).value_or(*rank),
                        .variable = launcher.world};
  }
  return std::nullopt;
}

ProcessPlace process_place() {
  ProcessPlace place;
  if (const auto launched = launched_rank()) {
    place.rank = launched->rank;
    place.world = launched->world;
    place.local_rank = launched->local_rank;
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
