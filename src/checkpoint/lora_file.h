// An adapter file, its tensors sorted by the modules that they are for.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

// What a tensor is to its module.
enum class LoraRole {
  Down,  // [rank, I, ...]
  Up,    // [O, rank, ...]
  Mid,   // [rank, rank, kernel, kernel]
  Alpha,
  DoraScale,  // magnitudes, of the columns or of the rows as its shape says
  Magnitude,  // PEFT's: always of the rows
  HadaW1A,
  HadaW1B,
  HadaT1,
  HadaW2A,
  HadaW2B,
  HadaT2,
  LokrW1,
  LokrW1A,
  LokrW1B,
  LokrW2,
  LokrW2A,
  LokrW2B,
  LokrT2,
};

struct LoraModule {
  std::map<LoraRole, Tensor> parts;
  std::optional<double> alpha;   // nullopt: as the rank
  bool divides_by_root = false;  // alpha / sqrt(rank), as PEFT's use_rslora

  bool has(LoraRole role) const { return parts.contains(role); }
  const Tensor& at(LoraRole role) const { return parts.at(role); }
};

struct LoraFile {
  std::string name;                           // of the file, for messages
  std::map<std::string, LoraModule> modules;  // by the names that the layouts give them
  std::vector<std::string> unknown;           // keys that are no part of an adapter
  std::string made_for;  // the base model that the metadata names; may be empty
};

// Throws Error where the file is no adapter, or holds other than finite floating-point numbers.
LoraFile read_lora(const std::filesystem::path& path);

}  // namespace easel
