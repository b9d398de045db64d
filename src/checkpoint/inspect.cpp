#include "easel/checkpoint/inspect.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "model_family.h"
#include "sha256.h"

namespace easel {
namespace {

constexpr size_t kShortHash = 10;
constexpr size_t kOldHash = 8;
constexpr size_t kOldHashOffset = 1 << 20;
constexpr size_t kOldHashBytes = 1 << 16;

std::string group_of(const std::string& name, const FileInfo& info) {
  if (name.starts_with("model_ema.")) return "EMA weights";
  if (!info.layout) return "tensors";
  if (const auto part = part_of(name, *info.layout)) return std::string(part_name(*part));
  switch (info.kind) {
    case ModelKind::UNet:
      return std::string(part_name(Part::UNet));
    case ModelKind::Autoencoder:
      return std::string(part_name(Part::Autoencoder));
    case ModelKind::TextEncoder:
      return std::string(part_name(Part::TextEncoder));
    default:
      return "other";
  }
}

std::vector<GroupSummary> summarize(const Tensors& tensors, const FileInfo& info) {
  std::vector<GroupSummary> groups;
  for (const auto& [name, tensor] : tensors) {
    const std::string heading = group_of(name, info);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const GroupSummary& g) { return g.name == heading; });
    if (group == groups.end()) {
      group = groups.emplace(groups.end());
      group->name = heading;
    }
    ++group->num_tensors;
    group->num_parameters += tensor.numel();
    group->num_bytes += static_cast<int64_t>(tensor.nbytes());
    ++group->dtypes[dtype_name(tensor.scalar_type())];
  }
  std::sort(groups.begin(), groups.end(),
            [](const auto& a, const auto& b) { return a.num_parameters > b.num_parameters; });
  return groups;
}

FileHashes hash_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  FileHashes hashes;
  hashes.path = path;
  hashes.num_bytes = static_cast<int64_t>(file->bytes().size());
  hashes.sha256 = sha256_hex(file->bytes());
  hashes.short_hash = hashes.sha256.substr(0, kShortHash);
  const size_t begin = std::min(kOldHashOffset, file->bytes().size());
  const size_t count = std::min(kOldHashBytes, file->bytes().size() - begin);
  hashes.old_hash = sha256_hex(file->bytes().subspan(begin, count)).substr(0, kOldHash);
  return hashes;
}

std::string dtypes_text(const std::map<std::string, int64_t>& dtypes) {
  std::string text;
  for (const auto& [name, count] : dtypes) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
    if (dtypes.size() > 1) text += fmt::format(" ({})", count);
  }
  return text;
}

// 859520964 as "859,520,964".
std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

}  // namespace

CheckpointSummary inspect(const std::filesystem::path& path, const InspectOptions& options) {
  ModelFiles files = read_model_files(path);
  const auto family = identify_family(files);
  CheckpointSummary summary{.path = path,
                            .format = files.format,
                            .info = identify(files.tensors),
                            .family = {},
                            .groups = {},
                            .metadata = std::move(files.metadata),
                            .unknown_globals = std::move(files.unknown_globals),
                            .files = {}};
  if (family) summary.family = family->what;
  summary.groups = summarize(files.tensors, summary.info);
  std::sort(summary.unknown_globals.begin(), summary.unknown_globals.end());
  if (options.hashes) {
    for (const auto& file : files.files) summary.files.push_back(hash_file(file));
  }
  return summary;
}

std::string summary_text(const CheckpointSummary& summary) {
  std::string text = fmt::format("{}: {}\n", summary.path.string(), kind_text(summary.info.kind));
  if (!summary.family.empty()) text += fmt::format("family          {}\n", summary.family);
  text += fmt::format("format          {}\n", summary.format);
  if (summary.info.layout)
    text += fmt::format("layout          {}\n", layout_name(*summary.info.layout));
  for (const GroupSummary& group : summary.groups) {
    text +=
        fmt::format("{:<15} {} tensors, {} parameters, {:.1f} MiB, {}\n", group.name,
                    group.num_tensors, grouped(group.num_parameters),
                    static_cast<double>(group.num_bytes) / (1 << 20), dtypes_text(group.dtypes));
  }
  for (const auto& [key, value] : summary.metadata) {
    text += fmt::format("metadata        {}: {}\n", printable(key), printable(value));
  }
  for (const std::string& name : summary.unknown_globals) {
    text += fmt::format("unopened class  {}\n", printable(name));
  }
  for (const FileHashes& file : summary.files) {
    text += fmt::format("sha256          {}  {}\n", file.sha256, file.path.string());
    text += fmt::format("A1111 hash      {} (old: {})\n", file.short_hash, file.old_hash);
  }
  return text;
}

std::string summary_json(const CheckpointSummary& summary) {
  nlohmann::ordered_json json;
  json["path"] = summary.path.string();
  json["kind"] = kind_text(summary.info.kind);
  json["family"] = nullptr;
  if (!summary.family.empty()) json["family"] = summary.family;
  json["format"] = summary.format;
  json["layout"] = nullptr;
  if (summary.info.layout) json["layout"] = layout_name(*summary.info.layout);
  json["groups"] = nlohmann::ordered_json::array();
  for (const GroupSummary& group : summary.groups) {
    json["groups"].push_back({{"name", group.name},
                              {"tensors", group.num_tensors},
                              {"parameters", group.num_parameters},
                              {"bytes", group.num_bytes},
                              {"dtypes", group.dtypes}});
  }
  json["metadata"] = summary.metadata;
  json["unknown_globals"] = summary.unknown_globals;
  json["files"] = nlohmann::ordered_json::array();
  for (const FileHashes& file : summary.files) {
    json["files"].push_back({{"path", file.path.string()},
                             {"bytes", file.num_bytes},
                             {"sha256", file.sha256},
                             {"short_hash", file.short_hash},
                             {"old_hash", file.old_hash}});
  }
  // Foreign strings need not be UTF-8.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace easel
