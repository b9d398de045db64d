// Tensors that look into a mapped file.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <easel/base/tensor.h>
#include <easel/io/file.h>

namespace easel {

// A contiguous tensor of `bytes`, which lie in `file`: a view that shares the mapping, or a copy
// where they are not aligned for `dtype`. `bytes` must be exactly as long as the shape says. Throws
// Error where a bool is neither 0 nor 1.
Tensor tensor_of_mapped(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes,
                        at::IntArrayRef shape, at::ScalarType dtype);

// `tensor` as contiguous memory of this process that can be read byte by byte.
Tensor plain_cpu_tensor(const Tensor& tensor);

// The bytes of such a tensor.
std::span<const std::byte> tensor_bytes(const Tensor& plain);

}  // namespace easel
