#include "tensor_view.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/base/mapped_tensor.h>

namespace easel {

Tensor tensor_of_mapped(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes,
                        at::IntArrayRef shape, at::ScalarType dtype) {
  TORCH_CHECK(bytes.size() == c10::multiply_integers(shape) * c10::elementSize(dtype),
              "tensor_of_mapped: size mismatch");
  const auto options = at::TensorOptions().dtype(dtype);
  if (dtype == at::kBool &&
      std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b > std::byte{1}; })) {
    fail("a bool tensor holds bytes other than 0 and 1");
  }
  if (bytes.empty()) return at::empty(shape, options);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(dtype) != 0) {
    Tensor copy = at::empty(shape, options);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return copy;
  }
  return mapped_tensor(std::move(file), bytes.data(), shape, dtype);
}

Tensor plain_cpu_tensor(const Tensor& tensor) {
  return tensor.detach().cpu().resolve_conj().resolve_neg().contiguous();
}

std::span<const std::byte> tensor_bytes(const Tensor& plain) {
  return {static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes()};
}

}  // namespace easel
