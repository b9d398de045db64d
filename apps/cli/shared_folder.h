// The output folder of a run that several processes draw, on one machine or many. A picture's file
// has the picture's number in the run, so that all agree on it, and appears whole and once, whoever
// draws it. In the end the folder is what one process would have left in an empty one, and `share`:
//
//   share/run.json    what is drawn; a process that was to draw something else ends with an error
//   share/17.0        a lease on the 17th batch, see leases.h; piece 0 is the finishing
//   share/NAME.jsonl  the manifest's lines of the pictures that the process NAME drew
//   share/finished    manifest.jsonl and the grid are there, and nothing above but run.json
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/manifest_rows.h"

namespace easel::cli {

constexpr int64_t kFinishing = 0;  // the piece of work

class SharedFolder {
 public:
  SharedFolder(std::filesystem::path outdir, const std::string& process);

  // Begins the run that `record` describes, or joins it. Throws Error where another one is there.
  void join(const nlohmann::ordered_json& record);

  std::filesystem::path picture(int64_t number) const;
  bool is_there(int64_t number) const;
  // Which of the pictures 0 to num - 1 are there, read at once.
  std::vector<bool> are_there(int64_t num) const;
  // Writes a picture and its line, and returns its path; nothing where it is there by now. Throws
  // Error.
  std::optional<std::filesystem::path> write(int64_t number, std::span<const std::byte> bytes,
                                             const std::string& id, const std::string& settings);

  bool is_finished() const;
  // Makes the manifest of the pictures 0 to num - 1, which are all there, writes the grid if there
  // is one, and clears away what was needed meanwhile and what processes that were killed have
  // left. May be interrupted and called again.
  void finish(int64_t num, const std::optional<std::vector<std::byte>>& grid);

  const std::filesystem::path& share() const { return share_; }

 private:
  bool has_pictures() const;
  void write_manifest(int64_t num, bool grid) const;
  void clear() const;

  std::filesystem::path outdir_;
  std::filesystem::path share_;
  RowFile rows_;
};

// Throws Error where `outdir` holds a shared run that is not finished: numbers of its own would be
// taken for those of the run.
void check_not_shared(const std::filesystem::path& outdir);

}  // namespace easel::cli
