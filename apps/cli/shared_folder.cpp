#include "cli/shared_folder.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "cli/manifest.h"
#include "cli/output_files.h"

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTemporary = ".easel-";  // what write_atomically() calls its files

// The file's name in the folder, as NumberedFiles makes them.
fs::path name_of(int64_t number) { return fs::path("samples") / fmt::format("{:05}.png", number); }

// Of a path in the folder; -1 where it is no picture's.
int64_t number_of(const fs::path& path) {
  const std::string stem = path.stem().string();
  int64_t number = -1;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (error != std::errc() || end != stem.data() + stem.size()) return -1;
  return path == name_of(number) ? number : -1;
}

fs::path record_of(const fs::path& outdir) { return outdir / "share" / "run.json"; }
fs::path manifest_of(const fs::path& outdir) { return outdir / "manifest.jsonl"; }

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// Calls `visit` with every path in the folder. Throws Error.
template <class Visit>
void for_each_entry(const fs::path& folder, const Visit& visit) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) visit(entry->path());
  if (error) fail("cannot read the folder {}: {}", folder.string(), error.message());
}

// Writes a file that nobody replaces. False where it is there already.
bool write_once(const fs::path& path, const std::function<void(FileWriter&)>& produce) {
  std::error_code error;
  try {
    write_atomically(path, IfExists::Refuse, produce);
    return true;
  } catch (const Error&) {
    if (!fs::exists(fs::symlink_status(path, error))) throw;
    return false;
  }
}

// "steps: 20 there and 30 here", for what differs.
std::vector<std::string> differences(const Json& there, const Json& here) {
  std::vector<std::string> found;
  const auto text = [](const Json& json, const std::string& name) {
    return json.contains(name) ? printable(json[name].dump(), 60) : "none";
  };
  const auto compare = [&](const std::string& name) {
    const std::string a = text(there, name);
    const std::string b = text(here, name);
    if (a != b) found.push_back(fmt::format("{}: {} there and {} here", name, a, b));
  };
  for (const auto& [name, value] : here.items()) compare(name);
  for (const auto& [name, value] : there.items()) {
    if (!here.contains(name)) compare(name);
  }
  return found;
}

}  // namespace

SharedFolder::SharedFolder(fs::path outdir, const std::string& process)
    : outdir_(std::move(outdir)), share_(outdir_ / "share"), rows_(share_ / (process + ".jsonl")) {}

void SharedFolder::join(const Json& record) {
  const fs::path file = record_of(outdir_);
  // In this order: the run's own pictures come after its record.
  if (has_pictures() && !is_file(file)) {
    fail("{} holds pictures of another run: what is shared needs a folder of its own (--outdir)",
         outdir_.string());
  }
  prepare_folder(share_);
  const std::string text = record.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (!is_file(file)) write_once(file, [&](FileWriter& out) { out.write(text); });
  const Json there = Json::parse(read_text_file(file), nullptr, false);
  if (!there.is_object()) fail("{} is damaged: it holds no JSON object", file.string());
  const auto found = differences(there, Json::parse(text));
  if (found.empty()) return;
  fail(
      "{} is being drawn by processes with another command ({}); give the same options, or another "
      "--outdir",
      outdir_.string(), fmt::join(found, "; "));
}

bool SharedFolder::has_pictures() const {
  bool found = false;
  for_each_entry(outdir_ / "samples",
                 [&](const fs::path& path) { found = found || path.extension() == ".png"; });
  return found;
}

fs::path SharedFolder::picture(int64_t number) const { return outdir_ / name_of(number); }

bool SharedFolder::is_there(int64_t number) const { return is_file(picture(number)); }

std::vector<bool> SharedFolder::are_there(int64_t num) const {
  std::vector<bool> there(static_cast<size_t>(num));
  for_each_entry(outdir_ / "samples", [&](const fs::path& path) {
    const int64_t number = number_of(fs::path("samples") / path.filename());
    if (number >= 0 && number < num) there[static_cast<size_t>(number)] = true;
  });
  return there;
}

std::optional<fs::path> SharedFolder::write(int64_t number, std::span<const std::byte> bytes,
                                            const std::string& id, const std::string& settings) {
  if (is_there(number)) return std::nullopt;
  rows_.append(manifest_row(id, name_of(number), settings));
  fs::path path = picture(number);
  if (!write_once(path, [&](FileWriter& file) { file.write(bytes); })) return std::nullopt;
  return path;
}

bool SharedFolder::is_finished() const { return is_file(share_ / "finished"); }

void SharedFolder::finish(int64_t num, const std::optional<std::vector<std::byte>>& grid) {
  if (!is_file(manifest_of(outdir_))) write_manifest(num, grid.has_value());
  if (grid) {
    write_once(outdir_ / "grid-0000.png", [&](FileWriter& file) { file.write(*grid); });
  }
  clear();
  write_once(share_ / "finished", [](FileWriter&) {});
}

// In the order of the pictures. Mappings, since there may be more processes than files that one may
// open.
void SharedFolder::write_manifest(int64_t num, bool grid) const {
  std::vector<std::shared_ptr<const MappedFile>> files;
  std::vector<std::string_view> lines(static_cast<size_t>(num));
  std::vector<std::string> ids(lines.size());
  for_each_entry(share_, [&](const fs::path& path) {
    if (path.extension() != ".jsonl") return;
    files.push_back(MappedFile::open(path));
    const auto bytes = files.back()->bytes();
    std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const auto row = parse_manifest_row(line);
      const int64_t number = row ? number_of(row->path) : -1;
      if (number < 0 || number >= num) continue;
      lines[static_cast<size_t>(number)] = line;
      ids[static_cast<size_t>(number)] = row->id;
    }
  });
  write_once(manifest_of(outdir_), [&](FileWriter& out) {
    for (const std::string_view line : lines) {
      if (!line.empty()) out.write(fmt::format("{}\n", line));
    }
    if (!grid) return;
    out.write(manifest_row(grid_id(fmt::format("{}", fmt::join(ids, ""))), "grid-0000.png", {}) +
              "\n");
  });
}

void SharedFolder::clear() const {
  std::vector<fs::path> left;
  const auto temporary = [&](const fs::path& path) {
    if (path.filename().string().starts_with(kTemporary)) left.push_back(path);
  };
  for_each_entry(outdir_ / "samples", temporary);
  for_each_entry(outdir_, temporary);
  for_each_entry(share_, [&](const fs::path& path) {
    const std::string name = path.filename().string();
    if (name != "run.json" && !name.starts_with(fmt::format("{}.", kFinishing))) {
      left.push_back(path);
    }
  });
  std::error_code error;  // what another process has cleared away meanwhile
  for (const fs::path& path : left) fs::remove(path, error);
}

void check_not_shared(const fs::path& outdir) {
  if (!is_file(record_of(outdir)) || is_file(manifest_of(outdir))) return;
  fail(
      "{} holds a run that several processes share, which is not finished: go on with it by the "
      "same command with --share folder, or give another --outdir",
      outdir.string());
}

}  // namespace easel::cli
