#include "easel/nn/stored_weights.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/mapped_tensor.h>

namespace easel::nn {
namespace {

thread_local std::optional<WeightPlace> place;

}  // namespace

StoredWeights::StoredWeights(std::optional<WeightPlace> wanted)
    : before_(std::exchange(place, wanted)) {}

StoredWeights::~StoredWeights() { place = before_; }

Tensor StoredWeights::placed(const Tensor& values) {
  // In two steps: what is narrower goes over the bus, and the device does the rest.
  return place && values.defined() ? values.to(place->device).to(place->dtype) : values;
}

InUse::InUse(const Tensor& weight) : usable_(StoredWeights::placed(weight)) {
  if (place) stored_ = weight;
}

InUse::~InUse() {
  if (stored_.defined()) let_go_of_pages(stored_);
}

}  // namespace easel::nn
