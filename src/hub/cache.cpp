#include "easel/hub/cache.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <vector>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "choose_files.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRefBytes = 4096;
constexpr size_t kMaxIndexBytes = 1 << 20;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string commit_of(const fs::path& folder, const std::string& revision) {
  if (is_commit(revision)) return revision;
  const fs::path ref = folder / "refs" / revision;
  std::error_code error;
  if (!fs::is_regular_file(ref, error)) return {};
  std::string commit = read_text_file(ref, kMaxRefBytes);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  if (!is_commit(commit)) {
    fail(
        "'{}' holds '{}', expected a commit of 40 hexadecimal digits; remove the file and fetch "
        "again",
        ref.string(), printable(commit));
  }
  return commit;
}

// The files of a snapshot and of its folders; links that lead nowhere are left out.
std::vector<std::string> names_in(const fs::path& snapshot) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot, error)) {
    std::error_code unknown;
    if (entry.is_regular_file(unknown)) {
      names.push_back(entry.path().lexically_relative(snapshot).generic_string());
    }
  }
  if (error) fail("cannot read the folder '{}': {}", snapshot.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

fs::path repo_folder(const fs::path& cache, const std::string& repo) {
  std::string name = "models--" + repo;
  name.replace(name.find('/'), 1, "--");
  return cache / name;
}

std::vector<std::string> repos_in_cache(const fs::path& cache) {
  std::vector<std::string> repos;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cache, error)) {
    constexpr std::string_view prefix = "models--";
    std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    name.erase(0, prefix.size());
    const size_t between = name.find("--");
    if (between == std::string::npos) continue;
    name.replace(between, 2, "/");
    if (is_repo_name(name)) repos.push_back(std::move(name));
  }
  std::sort(repos.begin(), repos.end());
  return repos;
}

std::optional<fs::path> find_in_cache(const fs::path& cache, const HubModel& model) {
  const fs::path folder = repo_folder(cache, model.repo);
  const std::string commit = commit_of(folder, model.revision);
  if (commit.empty()) return std::nullopt;
  const fs::path snapshot = folder / "snapshots" / commit;
  if (!is_there(snapshot)) return std::nullopt;
  if (!model.file.empty() && !is_there(snapshot / model.file)) return std::nullopt;

  const std::vector<std::string> names = names_in(snapshot);
  std::string index;
  if (model.file.empty() && is_there(snapshot / "model_index.json")) {
    index = read_text_file(snapshot / "model_index.json", kMaxIndexBytes);
  }
  std::string missing;
  for (const std::string_view variant : {"", "fp16"}) {
    try {
      const ChosenFiles chosen = choose_files(names, index, model.file, variant);
      return chosen.checkpoint.empty() ? snapshot : snapshot / chosen.checkpoint;
    } catch (const Error& error) {
      if (missing.empty()) missing = error.what();
    }
  }
  fail("{} is in the cache ({}), but not whole: {}; `easel-checkpoint fetch {}` gets the rest",
       hub_model_text(model), snapshot.string(), missing, fetch_words(model));
}

}  // namespace easel
