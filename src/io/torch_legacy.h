// torch.save's formats before PyTorch 1.6: a stream of pickles and storages, and (before 0.2) a
// tar.
#pragma once

#include <memory>

#include <easel/io/tensor_file.h>

namespace easel {

TensorFile read_torch_stream(const std::shared_ptr<const MappedFile>& file);
TensorFile read_torch_tar(const std::shared_ptr<const MappedFile>& file);

}  // namespace easel
