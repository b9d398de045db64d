// Which of several processes this is, as torchrun, mpirun and srun say it in the environment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace easel::cli {

// A process among those that one launcher has started.
struct LaunchedRank {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t local_rank = 0;       // on its machine
  std::string_view variable{};  // that says so: "WORLD_SIZE"
};

// By torchrun's RANK, WORLD_SIZE, LOCAL_RANK; else Open MPI's OMPI_COMM_WORLD_*; else PMI_RANK,
// PMI_SIZE, MPI_LOCALRANKID of MPICH and Intel MPI; else SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID,
// which an mpirun within a job of Slurm inherits. Throws Error (Usage) where a variable is no
// number, or the rank is none of the world.
std::optional<LaunchedRank> launched_rank();

struct ProcessPlace {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t local_rank = 0;
  std::string master_address = "127.0.0.1";
  int64_t master_port = 29500;
  bool store_is_served = false;  // torchrun's agent serves the store at that port
};

// launched_rank(), or a process alone; MASTER_ADDR and MASTER_PORT. Throws Error (Usage), also
// where Slurm names several machines and there is no MASTER_ADDR.
ProcessPlace process_place();

}  // namespace easel::cli
