#include "cli/share.h"

#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>
#include <easel/pipeline/machine.h>

#include "cli/process_rank.h"

namespace easel::cli {
namespace {

constexpr int64_t kMostParts = 1000000;

std::optional<Share> read_part(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  Share share{.kind = Share::Kind::Part};
  if (!parse_field(text.substr(0, slash), share.part) ||
      !parse_field(text.substr(slash + 1), share.parts) || share.parts < 1 ||
      share.parts > kMostParts || share.part < 0 || share.part >= share.parts) {
    return std::nullopt;
  }
  return share;
}

Share read_launched() {
  const auto launched = launched_rank();
  if (!launched) {
    fail_usage(
        "--share auto: no launcher says which process this is (RANK and WORLD_SIZE of torchrun, "
        "OMPI_COMM_WORLD_RANK and _SIZE or PMI_RANK and PMI_SIZE of mpirun, SLURM_PROCID and "
        "SLURM_NTASKS of srun): start it under one, or give --share R/N or --share folder");
  }
  return {.kind = Share::Kind::Part, .part = launched->rank, .parts = launched->world};
}

Share read_kind(const std::string& text) {
  if (text.empty()) return {};
  if (text == "auto") return read_launched();
  if (text == "folder") return {.kind = Share::Kind::Folder};
  if (const auto part = read_part(text)) return *part;
  fail_usage("--share {}: it is auto, folder, or R/N with R from 0 to N - 1, such as 0/8",
             printable(text, 40));
}

}  // namespace

Share read_share(const ShareOptions& options) {
  Share share = read_kind(options.share);
  share.lease_seconds = options.lease;
  return share;
}

void check_shareable(const DrawingOptions& options) {
  constexpr int64_t longest = 86400;
  if (options.share.lease < 1 || options.share.lease > longest) {
    fail_usage("--lease is {}; it is 1 to {} seconds", options.share.lease, longest);
  }
  if (options.share.share.empty()) return;
  const OutputOptions& output = options.output;
  const auto refuse = [](bool given, std::string_view name, std::string_view why) {
    if (given) fail_usage("{} has no meaning with --share: {}", name, why);
  };
  refuse(options.noise.seeding == "batch", "--seeding batch",
         "its pictures have one stream of noise, each from where the last one left it");
  refuse(options.noise.seed == -1, "--seed -1", "every process would draw another; give a number");
  refuse(options.prompt.from_file == "-", "--from-file -",
         "all processes read the same prompts; write them to a file");
  refuse(!output.file.empty(), "-o", "the pictures go to a folder");
  refuse(!output.verify.empty(), "--verify", "it draws one picture");
  refuse(output.skip_save, "--skip_save", "the pictures are all that the processes have in common");
  refuse(!output.save_latents.empty(), "--save-latents", "it writes one file of the whole run");
  refuse(output.preview > 0, "--preview", "all processes would show theirs in the same file");
}

std::string shared_device(const std::string& device) {
  if (device != "auto" && device != "cuda") return device;
  const auto launched = launched_rank();
  if (!launched || launched->local_rank == 0) return device;
  // A launcher may show each process its own GPU alone.
  const int64_t gpus = look_at_machine().usable_gpus;
  return gpus == 0 ? device : fmt::format("cuda:{}", launched->local_rank % gpus);
}

std::string unshared_notice() {
  try {
    const auto launched = launched_rank();
    if (!launched || launched->world == 1) return {};
    return fmt::format(
        "{} is {} in the environment, and this process draws the whole run: --share auto draws its "
        "part",
        launched->variable, launched->world);
  } catch (const Error&) {
    return {};  // without --share these variables mean nothing
  }
}

}  // namespace easel::cli
