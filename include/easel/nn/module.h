// Modules are plain structs that list their members once:
//
//   struct Linear {
//     Tensor weight, bias;
//     template <class Self, class Visit>
//     static void members(Self& self, Visit&& visit) {
//       visit("weight", self.weight);
//       visit("bias", self.bias);
//     }
//   };
//
// A member is a Tensor (a parameter; an undefined one is absent), a module, a std::vector of
// modules (named by index), a std::optional module or a std::variant of modules. A name may contain
// dots
// ("to_out.0"). From that list come the parameters' names, which are
// those of the diffusers and transformers libraries ("down_blocks.0.resnets.1.conv1.weight").
//
// A constructor allocates nothing: parameters are on the meta device, shape and no storage. Loading
// binds tensors to them; make_parameters gives them memory for training. forward() is const, so a
// loaded model is safe to share between threads.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <easel/base/tensor.h>

namespace easel::nn {

// A parameter's name in full and where it lives. Valid while the module stays where it is.
template <class TensorPointer>
struct NamedParameter {
  std::string name;
  TensorPointer tensor;
};

namespace detail {

template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_variant : std::false_type {};
template <class... T>
struct is_variant<std::variant<T...>> : std::true_type {};

// visit(value, name) for every parameter and every module at and below `member`.
template <class Member, class Visit>
void visit_all(Member& member, const std::string& name, const Visit& visit) {
  using Plain = std::remove_const_t<Member>;
  if constexpr (std::is_same_v<Plain, Tensor>) {
    if (member.defined()) visit(member, std::as_const(name));
  } else if constexpr (is_vector<Plain>::value) {
    for (size_t i = 0; i < member.size(); ++i) {
      visit_all(member[i], name + "." + std::to_string(i), visit);
    }
  } else if constexpr (is_optional<Plain>::value) {
    if (member) visit_all(*member, name, visit);
  } else if constexpr (is_variant<Plain>::value) {
    std::visit([&](auto& chosen) { visit_all(chosen, name, visit); }, member);
  } else {
    visit(member, std::as_const(name));
    Plain::members(member, [&](std::string_view child, auto& value) {
      visit_all(value, name.empty() ? std::string(child) : name + "." + std::string(child), visit);
    });
  }
}

}  // namespace detail

// Every parameter in the order of the member lists.
template <class Module>
auto named_parameters(Module& module) {
  using TensorPointer = std::conditional_t<std::is_const_v<Module>, const Tensor*, Tensor*>;
  std::vector<NamedParameter<TensorPointer>> parameters;
  detail::visit_all(module, std::string(), [&](auto& value, const std::string& name) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, Tensor>) {
      parameters.push_back({name, &value});
    }
  });
  return parameters;
}

// Calls visit(module, name) for the module itself (its name is empty) and for every module in it, a
// module before those that it holds. `visit` takes any type of module: a generic lambda.
template <class Module, class Visit>
void visit_modules(Module& module, const Visit& visit) {
  detail::visit_all(module, std::string(), [&](auto& value, const std::string& name) {
    if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(value)>, Tensor>) visit(value, name);
  });
}

// A parameter of this shape without storage: float32 on the meta device.
Tensor parameter(at::IntArrayRef shape);

}  // namespace easel::nn
