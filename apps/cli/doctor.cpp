#include "cli/doctor.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/hub/cache.h>
#include <easel/pipeline/open_model.h>

#include "cli/about.h"
#include "cli/find_model.h"
#include "cli/hub_environment.h"
#include "cli/program.h"

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kLittleSpace = 1'000'000'000;

int64_t bytes_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return static_cast<int64_t>(fs::file_size(path, error));
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
    std::error_code unknown;
    if (entry.is_regular_file(unknown)) bytes += static_cast<int64_t>(entry.file_size(unknown));
  }
  return bytes;
}

Finding examine_data(const fs::path& data) {
  Finding finding{.topic = "Easel",
                  .found = fmt::format("{}, data in {}", version(), data.string())};
  std::vector<std::string> missing;
  for (const std::string_view name :
       {"configs/stable-diffusion/v1-inference.yaml", "clip/bpe_simple_vocab_16e6.txt.gz"}) {
    std::error_code error;
    if (!fs::exists(data / name, error)) missing.emplace_back(name);
  }
  if (!missing.empty()) {
    finding.fix = fmt::format(
        "{} {} missing there, which most models need: install Easel again with cmake --install, "
        "or run scripts/setup and build",
        fmt::join(missing, " and "), missing.size() == 1 ? "is" : "are");
  }
  return finding;
}

Finding examine_model(const DrawingOptions& options, const fs::path& data) {
  Finding finding{.topic = "Model"};
  try {
    const fs::path model =
        find_model(options.model.ckpt.empty() ? options.model.model : options.model.ckpt, data);
    finding.found = fmt::format("{}, {}", model.string(), bytes_text(bytes_of(model)));
  } catch (const Error& error) {
    finding = {.topic = "Model", .found = "none", .fix = error.what(), .prevents = true};
  }
  return finding;
}

// Models that --model takes by name.
Finding examine_other_models(const fs::path& data) {
  std::vector<std::string> names;
  const std::array<fs::path, 2> folders = {fs::path("models"), data / "models"};
  for (const fs::path& folder : folders) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      try {
        if (!entry.is_directory(error) || name == "lora") continue;
        find_model(name, data);
        names.push_back(name);
      } catch (const Error&) {
        continue;  // a folder without a model, or with several
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return {
      .topic = "By name",
      .found = fmt::format("{} (in models/ here and in {})",
                           names.empty() ? "no models" : fmt::format("{}", fmt::join(names, ", ")),
                           folders[1].string()),
      .fix = {}};
}

Finding examine_hub() {
  try {
    const fs::path cache = hub_from_environment().cache;
    const std::vector<std::string> repos = repos_in_cache(cache);
    return {.topic = "From the hub",
            .found =
                fmt::format("{} (in {})",
                            repos.empty() ? "no models" : fmt::format("{}", fmt::join(repos, ", ")),
                            cache.string()),
            .fix = {}};
  } catch (const Error& error) {
    return {.topic = "From the hub", .found = "unknown", .fix = error.what()};
  }
}

// The folder itself, or the first above it that is there already.
fs::path nearest_folder(const fs::path& folder) {
  std::error_code error;
  fs::path at = fs::absolute(folder, error);
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  return at;
}

Finding examine_output(const fs::path& folder) {
  const fs::path at = nearest_folder(folder);
  Finding finding{.topic = "Output", .found = folder.string()};
  std::error_code error;
  if (!fs::is_directory(at, error) || ::access(at.c_str(), W_OK | X_OK) != 0) {
    finding.fix = fmt::format("{} {}: name another with --outdir or -o", at.string(),
                              fs::is_directory(at, error) ? "cannot be written" : "is no folder");
    finding.prevents = true;
    return finding;
  }
  const auto free = static_cast<int64_t>(fs::space(at, error).available);
  finding.found += fmt::format(", {} free", bytes_text(free));
  if (free < kLittleSpace) finding.fix = "make room, or name another folder with --outdir";
  return finding;
}

std::vector<Finding> try_device(const std::string& device) {
  try {
    return {examine(device, try_numbers(device))};
  } catch (const Error& error) {
    return {{.topic = "Numbers", .found = device, .fix = error.what(), .prevents = true}};
  }
}

std::vector<Finding> look_at_device(const DeviceOptions& options) {
  set_threads(options.threads);
  const Machine machine = look_at_machine();
  std::vector<Finding> findings = examine(machine);
  std::vector<std::string> devices = {options.device};
  if (options.device == "auto") {
    devices = {"cpu"};
    for (int64_t i = 0; i < machine.usable_gpus; ++i) devices.push_back(fmt::format("cuda:{}", i));
  }
  for (const std::string& device : devices) {
    for (Finding& finding : try_device(device)) findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

std::vector<Finding> look_at_files(const DrawingOptions& options, const fs::path& data) {
  return {examine_data(data), examine_model(options, data), examine_other_models(data),
          examine_hub(), examine_output(options.output.outdir)};
}

std::string findings_text(std::span<const Finding> findings) {
  constexpr size_t column = 14;
  std::string text;
  std::vector<std::string_view> preventing;
  const auto add = [&](std::string_view first, std::string_view words) {
    for (const std::string& line : wrapped(words, 100 - column)) {
      text += fmt::format("{:<{}}{}\n", first, column, line);
      first = "";
    }
  };
  for (const Finding& finding : findings) {
    add(finding.topic, finding.found);
    if (!finding.fix.empty()) add("", "-> " + finding.fix);
    if (finding.prevents) preventing.push_back(finding.topic);
  }
  if (preventing.empty()) return text + "\nReady to draw.\n";
  return text + fmt::format("\nNothing can be drawn yet: {}.\n", fmt::join(preventing, ", "));
}

int run_doctor(std::string_view program, const DrawingOptions& options) {
  print_stdout(version_line(program) + "\n");
  std::vector<Finding> findings = look_at_device(options.device);
  for (Finding& finding : look_at_files(options, data_folder())) {
    findings.push_back(std::move(finding));
  }
  print_stdout(findings_text(findings));
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.prevents; })
             ? 1
             : 0;
}

}  // namespace easel::cli
