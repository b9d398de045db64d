// Files of tensors and pictures.
#include <array>

#include <ATen/ATen.h>

#include <easel/io/image.h>
#include <easel/io/jpeg_text.h>
#include <easel/io/tensor_file.h>

#include "src/io/pickle.h"
#include "tests/fuzz/targets.h"

namespace easel::fuzz {
namespace {

constexpr int64_t kMaxBytes = 1 << 20;
constexpr int64_t kMaxPixels = 1 << 20;

// Reads every number of the tensors that are no larger than the input could fill.
void touch(const TensorFile& file) {
  for (const auto& [name, tensor] : file.tensors) {
    if (static_cast<int64_t>(tensor.nbytes()) <= kMaxBytes) tensor.clone();
  }
}

void pickle(std::string_view bytes) {
  Cursor in(std::as_bytes(std::span(bytes.data(), bytes.size())), "the pickle");
  read_pickle(in, [](const Pickle& pickle, PickleId id) { return pickle[id]; });
}

void torch_file(std::string_view bytes) {
  const MemoryFile file(bytes);
  touch(read_torch_file(file.path()));
}

void safetensors(std::string_view bytes) {
  const MemoryFile file(bytes);
  touch(read_safetensors(file.path()));
}

void npy(std::string_view bytes) {
  const MemoryFile file(bytes);
  touch({.tensors = {{"npy", read_npy(file.path())}}, .metadata = {}, .format = {}});
}

void picture(std::string_view bytes) {
  const MemoryFile file(bytes);
  read_upright_image(file.path(), 3, kMaxPixels);
}

void png_text(std::string_view bytes) {
  const MemoryFile file(bytes);
  read_png_text(file.path());
}

void jpeg_text(std::string_view bytes) {
  const MemoryFile file(bytes);
  read_jpeg_text(file.path());
}

constexpr std::array<Target, 7> kTargets = {{{"pickle", pickle},
                                             {"torch", torch_file},
                                             {"safetensors", safetensors},
                                             {"npy", npy},
                                             {"picture", picture},
                                             {"png_text", png_text},
                                             {"jpeg_text", jpeg_text}}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace easel::fuzz
