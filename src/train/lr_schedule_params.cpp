#include "lr_schedule_params.h"

#include <string_view>
#include <vector>

#include <easel/base/error.h>
#include <easel/base/fields.h>

namespace easel {
namespace {

constexpr IntegerRange kWarmUp{.min = 0, .max = int64_t{1} << 60};
constexpr IntegerRange kLength{.min = 1, .max = int64_t{1} << 60};

std::vector<double> numbers(ConfigMap& params, std::string_view key, size_t count) {
  std::vector<double> values;
  for (const std::string& text : params.texts(key)) {
    double value = 0;
    if (!parse_field(text, value)) params.reject(key, "expected a list of numbers");
    values.push_back(value);
  }
  if (values.size() != count) {
    params.reject(
        key, fmt::format("expected a list of {} numbers, one a cycle as in cycle_lengths", count));
  }
  return values;
}

void read_cycles(ConfigMap& params, LrScheduleOptions& options) {
  const auto lengths = params.integers("cycle_lengths", std::nullopt, kLength);
  const auto warm_ups = params.integers("warm_up_steps", std::nullopt, kWarmUp);
  if (warm_ups.size() != lengths.size()) {
    params.reject("warm_up_steps", fmt::format("expected a list of {} numbers, one a cycle as in "
                                               "cycle_lengths",
                                               lengths.size()));
  }
  const auto f_start = numbers(params, "f_start", lengths.size());
  const auto f_max = numbers(params, "f_max", lengths.size());
  const auto f_min = numbers(params, "f_min", lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    options.cycles.push_back({warm_ups[i], lengths[i], f_start[i], f_max[i], f_min[i]});
  }
}

}  // namespace

void read_lr_schedule_params(ConfigMap& params, LrScheduleOptions& options) {
  params.ignore({"verbosity_interval"});
  options.cycles.clear();
  const bool cosine = options.kind == LrScheduleKind::Cosine;
  if (cosine) {
    options.cycles.push_back(
        {.warm_up_steps = params.integer("warm_up_steps", std::nullopt, kWarmUp),
         .cycle_length = params.integer("max_decay_steps", std::nullopt, kLength),
         .f_start = params.number("lr_start", std::nullopt),
         .f_max = params.number("lr_max", std::nullopt),
         .f_min = params.number("lr_min", std::nullopt)});
  } else if (options.kind != LrScheduleKind::Constant) {
    read_cycles(params, options);
  }
  try {
    check_lr_schedule(options);
  } catch (const Error& error) {
    params.reject(cosine ? "max_decay_steps" : "cycle_lengths", error.what());
  }
}

}  // namespace easel
