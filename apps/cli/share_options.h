// Options: one run drawn by several processes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <easel/base/fields.h>

namespace easel::cli {

struct ShareOptions {
  std::string share{};
  int64_t lease = 120;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "Several processes";
    visit(self.share,
          FieldInfo{.name = "share",
                    .group = group,
                    .help = "draw a part of the run's batches, and others the rest: auto is the "
                            "part of this process under torchrun, srun or mpirun; R/N is part R of "
                            "N, counted from 0; folder is what no other process draws that was "
                            "started with the same command and the same --outdir, here or on "
                            "another machine: they may come and go",
                    .value = "auto|R/N|folder",
                    .setting = false});
    visit(self.lease, FieldInfo{.name = "lease",
                                .group = group,
                                .help = "seconds without a sign of life after which the others "
                                        "take over what a process was at",
                                .value = "SECONDS",
                                .setting = false});
  }
};

}  // namespace easel::cli
