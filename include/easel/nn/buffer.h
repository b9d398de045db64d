// State of a module that is saved with its parameters but not learnt: a batch norm's running mean.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/module.h>

namespace easel::nn {

// A module lists it among its members; named_parameters leaves it out.
struct Buffer {
  Tensor tensor;

  template <class Self, class Visit>
  static void members(Self&, Visit&&) {}
};

// Every buffer in the order of the member lists.
template <class Module>
auto named_buffers(Module& module) {
  using TensorPointer = std::conditional_t<std::is_const_v<Module>, const Tensor*, Tensor*>;
  std::vector<NamedParameter<TensorPointer>> buffers;
  visit_modules(module, [&buffers](auto& member, std::string_view name) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, Buffer>) {
      buffers.push_back({std::string(name), &member.tensor});
    }
  });
  return buffers;
}

}  // namespace easel::nn
