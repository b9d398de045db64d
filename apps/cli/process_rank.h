// Which of several processes this is, as torchrun, srun and mpirun say it in the environment.
#pragma once

#include <cstdint>
#include <string>

namespace easel::cli {

struct ProcessPlace {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t local_rank = 0;
  std::string master_address = "127.0.0.1";
  int64_t master_port = 29500;
  bool store_is_served = false;  // torchrun's agent serves the store at that port
};

// torchrun's RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; else SLURM_PROCID,
// SLURM_NTASKS, SLURM_LOCALID; else OMPI_COMM_WORLD_*; else a process alone. Throws Error where a
// variable is no number, or several machines are named without MASTER_ADDR.
ProcessPlace process_place();

}  // namespace easel::cli
