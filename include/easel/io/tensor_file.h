// Files of named tensors: safetensors, torch.save's zip and legacy formats, npy.
//
// Every reader treats its file as hostile: sizes are checked before anything is allocated, nothing
// in a file is ever executed, and a malformed file is one Error that says what is wrong. Tensors of
// uncompressed, aligned files are views of the mapping (no copy; read-only memory: never write to
// them); the mapping lives as long as any of them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/io/file.h>

namespace easel {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;  // safetensors' __metadata__; scalars of a pickle
  std::string format;                           // "safetensors", "torch zip", "torch legacy", "npy"
  std::vector<std::string> unknown_globals;  // classes that a pickle names and that stayed opaque
};

// Reads by the file's first bytes, not by its name. Throws Error, also for a file that is none of
// these (with a hint for what it seems to be: HTML, a Git LFS pointer, a picture ...).
TensorFile read_tensor_file(const std::filesystem::path& path);

// Format of huggingface/safetensors: 8-byte length, JSON header (at most 100 MB), data covered
// exactly once by the tensors' offsets.
TensorFile read_safetensors(const std::filesystem::path& path);
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata, IfExists if_exists);

// torch.save: a zip of data.pkl (protocol 2) and storages, or the legacy (pre-1.6) stream or tar.
// The pickle is read by a restricted machine: tensors, containers, numbers and strings are rebuilt;
// any other global stays an opaque value that is never called. A nested `state_dict` is taken as
// the tensors where there is one, and keys of nested dicts are joined with '.'.
TensorFile read_torch_file(const std::filesystem::path& path);

// A zip that torch.load(weights_only=True) reads: {"state_dict": {...}} if `wrap_state_dict`, else
// the plain dict. Tensors that share storage are written once.
void write_torch_file(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors, bool wrap_state_dict,
                      IfExists if_exists);

// numpy's .npy, versions 1 to 3, C or Fortran order, little-endian numbers. No pickled objects.
Tensor read_npy(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, const Tensor& tensor, IfExists if_exists);

}  // namespace easel
