// Tensors whose memory is a mapped file's.
#pragma once

#include <memory>

#include <easel/base/tensor.h>

namespace easel {

// A contiguous tensor over `data`, which `owner` keeps mapped, read-only, from a file.
Tensor mapped_tensor(std::shared_ptr<const void> owner, const void* data, at::IntArrayRef shape,
                     at::ScalarType dtype);

// Lets go of the memory that a tensor (or a view) of a mapped file takes in this process; whoever
// reads it next has the pages again from the system's cache. Nothing happens to other tensors.
void let_go_of_pages(const Tensor& tensor);

}  // namespace easel
