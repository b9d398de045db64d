// What is in a checkpoint, for people and for programs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <easel/checkpoint/model_files.h>

namespace easel {

// The tensors under one heading: "UNet", "autoencoder", "text encoder", "EMA weights", "other".
struct GroupSummary {
  std::string name;
  int64_t num_tensors = 0;
  int64_t num_parameters = 0;
  int64_t num_bytes = 0;
  std::map<std::string, int64_t> dtypes;  // how many tensors have which
};

struct FileHashes {
  std::filesystem::path path;
  int64_t num_bytes = 0;
  std::string sha256;      // 64 hexadecimal digits
  std::string short_hash;  // the first 10 of them: A1111's model hash
  std::string old_hash;    // A1111's before 2023: 8 digits of the hash of 64 KiB at 1 MiB
};

struct CheckpointSummary {
  std::filesystem::path path;
  std::string format;  // "safetensors", "torch zip", "torch legacy", "diffusers folder"
  FileInfo info;
  std::string family;  // "Stable Diffusion 2 that predicts v" ...; empty where it is not known
  std::vector<GroupSummary> groups;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> unknown_globals;
  std::vector<FileHashes> files;
};

struct InspectOptions {
  bool hashes = true;  // reads the whole of the files
};

CheckpointSummary inspect(const std::filesystem::path& path, const InspectOptions& options = {});

std::string summary_text(const CheckpointSummary& summary);  // lines for a person
std::string summary_json(const CheckpointSummary& summary);  // one JSON object

}  // namespace easel
