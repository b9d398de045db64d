#include "easel/base/mapped_tensor.h"

#include <cstdint>

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

namespace easel {
namespace {

using Owner = std::shared_ptr<const void>;

// Its address also tells such tensors from others.
void give_up(void* owner) { delete static_cast<Owner*>(owner); }

}  // namespace

Tensor mapped_tensor(std::shared_ptr<const void> owner, const void* data, at::IntArrayRef shape,
                     at::ScalarType dtype) {
  return at::for_blob(const_cast<void*>(data), shape)
      .context(new Owner(std::move(owner)), &give_up)
      .options(at::TensorOptions().dtype(dtype))
      .make_tensor();
}

void let_go_of_pages(const Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage() ||
      tensor.storage().data_ptr().get_deleter() != &give_up || !tensor.is_contiguous()) {
    return;
  }
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  // Whole pages only: the neighbours of a tensor's ends may be in use.
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + tensor.nbytes()) / page * page;
  // Advice: where the system does not take it, the pages stay.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace easel
