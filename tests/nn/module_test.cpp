#include "easel/nn/module.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/nn/layers.h>

namespace easel::nn {
namespace {

struct Tree {
  Linear plain{2, 3};
  Linear without_bias{2, 3, false};
  std::vector<LayerNorm> list;
  std::optional<Linear> absent;
  std::optional<Linear> present{Linear(1, 1)};
  std::variant<LayerNorm, Embedding> choice{Embedding(5, 2)};

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("plain", self.plain);
    visit("without_bias", self.without_bias);
    visit("list", self.list);
    visit("absent", self.absent);
    visit("with.dots.0", self.present);
    visit("choice", self.choice);
  }
};

template <class Module>
std::vector<std::string> names(Module& module) {
  std::vector<std::string> names;
  for (const auto& parameter : named_parameters(module)) names.push_back(parameter.name);
  return names;
}

TEST(Module, NamesItsParametersInTheOrderOfTheMemberLists) {
  Tree tree;
  tree.list.emplace_back(4);
  tree.list.emplace_back(4);
  const std::vector<std::string> want = {
      "plain.weight",  "plain.bias",  "without_bias.weight", "list.0.weight",    "list.0.bias",
      "list.1.weight", "list.1.bias", "with.dots.0.weight",  "with.dots.0.bias", "choice.weight"};
  EXPECT_EQ(names(tree), want);
  const Tree& constant = tree;
  EXPECT_EQ(names(constant), want);
}

TEST(Module, GivesAccessToTheTensorsThemselves) {
  Tree tree;
  const Tensor loaded = at::ones({3, 2});
  *named_parameters(tree)[0].tensor = loaded;
  EXPECT_TRUE(tree.plain.weight.is_same(loaded));
  const Tree& constant = tree;
  static_assert(std::is_same_v<decltype(named_parameters(constant)[0].tensor), const Tensor*>);
  EXPECT_TRUE(named_parameters(constant)[0].tensor->is_same(loaded));
}

TEST(Module, OfOneTensorHasItsName) {
  Linear linear(2, 3);
  EXPECT_EQ(names(linear), (std::vector<std::string>{"weight", "bias"}));
}

TEST(Parameter, IsAShapeWithoutStorage) {
  const Tensor p = parameter({int64_t{1} << 20, int64_t{1} << 20});
  EXPECT_TRUE(p.is_meta());
  EXPECT_EQ(p.scalar_type(), at::kFloat);
  EXPECT_EQ(shape_text(p.sizes()), "[1048576, 1048576]");
  EXPECT_FALSE(p.requires_grad());
}

}  // namespace
}  // namespace easel::nn
