#include "easel/train/trainer.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/nn/autocast.h>
#include <easel/nn/training_mode.h>
#include <easel/train/data_loader.h>
#include <easel/train/ema.h>
#include <easel/train/metrics.h>

#include "loss_scaler.h"
#include "run_files.h"
#include "training_state.h"

namespace easel {
namespace {

using Clock = std::chrono::steady_clock;

// Gradients for one group only: the others are fixed while it lives.
class OnlyGroup {
 public:
  OnlyGroup(TrainingTask& task, size_t group) : task_(task), group_(group) { set(false); }
  ~OnlyGroup() { set(true); }
  OnlyGroup(const OnlyGroup&) = delete;
  OnlyGroup& operator=(const OnlyGroup&) = delete;

 private:
  void set(bool value) {
    for (size_t i = 0; i < task_.groups.size(); ++i) {
      if (i == group_) continue;
      for (auto& parameter : task_.groups[i].parameters) parameter.tensor->set_requires_grad(value);
    }
  }
  TrainingTask& task_;
  size_t group_;
};

void add(MetricSums& sums, const Metrics& metrics, double weight) {
  for (const auto& [name, value] : metrics) {
    sums[name].sum += value.item<double>() * weight;
    sums[name].weight += weight;
  }
}

std::map<std::string, double> means_of(const MetricSums& sums) {
  std::map<std::string, double> means;
  for (const auto& [name, all] : sums) means[name] = all.sum / all.weight;
  return means;
}

class Run {
 public:
  Run(TrainingTask& task, const Dataset& data, const std::optional<Dataset>& validation,
      Communicator& communicator, const TrainerOptions& options)
      : task_(task),
        data_(data),
        validation_(validation),
        communicator_(communicator),
        options_(options),
        loader_(data,
                {.batch_size = options.batch_size,
                 .num_workers = options.num_workers,
                 .shuffle = true,
                 .seed = options.seed,
                 .rank = communicator.rank(),
                 .world = communicator.world(),
                 .load_pictures = task.needs_pictures,
                 .bad = options.bad_examples},
                options.log) {
    for (const ParameterGroup& group : task.groups) {
      optimizers_.emplace_back(group.parameters, group.optimizer);
    }
    if (options.use_ema && !task.averaged.empty()) averages_.emplace(task.averaged);
    progress_.best = std::numeric_limits<double>::quiet_NaN();
  }

  TrainOutcome run();

 private:
  struct StepLoss {
    double loss = 0;
    Metrics metrics;
  };

  int64_t num_steps() const;
  int64_t steps_per_epoch() const {
    return std::max<int64_t>(1, loader_.batches_per_epoch() / accumulate());
  }
  int64_t accumulate() const { return options_.config.accumulate_grad_batches; }
  bool is_main() const { return communicator_.rank() == 0; }
  double learning_rate() const {
    return options_.learning_rate *
           (options_.lr_schedule ? lr_multiplier(*options_.lr_schedule, progress_.step) : 1.0);
  }

  nn::Autocast autocast() const {
    const Precision precision = options_.config.precision;
    return {options_.device.type(), precision == Precision::Float16 ? at::kHalf : at::kBFloat16,
            precision != Precision::Float32};
  }
  int64_t validation_interval() const {
    const int64_t given = options_.config.val_check_interval;
    return given > 0 ? given : steps_per_epoch();
  }

  void start();
  void check_monitor();
  StepLoss step_group(size_t group, const std::vector<Batch>& batches);
  double step();
  bool due(int64_t interval) const { return interval > 0 && progress_.step % interval == 0; }
  void log_step();
  void after_step();
  void validate();
  std::map<std::string, double> validation_means(int64_t step, int64_t num_batches);
  std::map<std::string, double> validation_metrics(int64_t step, int64_t num_batches);
  void draw();
  void save();
  TrainingState state() { return {task_, optimizers_, averages_ ? &*averages_ : nullptr}; }

  TrainingTask& task_;
  const Dataset& data_;
  const std::optional<Dataset>& validation_;
  Communicator& communicator_;
  const TrainerOptions& options_;
  DataLoader loader_;
  std::vector<AdamW> optimizers_;
  std::optional<Ema> averages_;
  LossScaler scaler_;
  TrainingProgress progress_;
  std::optional<MetricsWriter> metrics_;
  int64_t saved_step_ = -1;
  double rate_ = 0;     // the last step's learning rate
  double seconds_ = 0;  // the last step's
  double gradient_norm_ = 0;
};

int64_t Run::num_steps() const {
  const TrainerConfig& config = options_.config;
  int64_t steps = config.max_steps < 0 ? std::numeric_limits<int64_t>::max() : config.max_steps;
  if (config.max_epochs >= 0) steps = std::min(steps, config.max_epochs * steps_per_epoch());
  return steps;
}

void Run::start() {
  const std::filesystem::path file = state_path(options_.folder);
  if (options_.resume) {
    progress_ = load_state(file, state());
    scaler_ = {.scale = progress_.loss_scale, .good_steps = progress_.good_steps};
    loader_.seek(progress_.step * accumulate());
    saved_step_ = progress_.step;
    if (progress_.step >= num_steps()) {
      say(options_.log, LogLevel::Warning,
          fmt::format("{} is finished: step {} was its last. To go on, raise "
                      "lightning.trainer.max_steps (or max_epochs)",
                      options_.folder.string(), progress_.step));
      return;
    }
    say(options_.log, LogLevel::Info,
        fmt::format("going on after step {} of {}", progress_.step, num_steps()));
  } else if (communicator_.world() > 1) {
    const at::NoGradGuard no_grad;
    std::vector<Tensor> parameters;
    for (const ParameterGroup& group : task_.groups) {
      for (const auto& parameter : group.parameters)
        parameters.push_back(parameter.tensor->detach());
    }
    communicator_.broadcast(parameters);
  }
  if (!is_main()) return;
  check_monitor();
  if (!options_.config_text.empty()) save_config(options_.config_text, options_.folder);
  MetricsOptions metrics;
  if (options_.resume) metrics.resume_step = progress_.step;
  metrics_.emplace(options_.folder, metrics, options_.log);
}

// Finds a wrong name before the work, not at the first validation.
void Run::check_monitor() {
  if (options_.monitor.empty()) return;
  if (!validation_) fail_usage("monitor '{}' needs a validation dataset", options_.monitor);
  // Some metrics appear only later, such as a discriminator's.
  const auto metrics = validation_metrics(std::max(progress_.step, num_steps() - 1), 1);
  if (metrics.contains(options_.monitor)) return;
  std::vector<std::string_view> names;
  for (const auto& entry : metrics) names.push_back(entry.first);
  fail_usage("monitor: {}", unknown_name("metric", options_.monitor, names));
}

Run::StepLoss Run::step_group(size_t group, const std::vector<Batch>& batches) {
  const OnlyGroup only(task_, group);
  const Parameters& parameters = optimizers_[group].parameters();
  const bool scaled = options_.config.precision == Precision::Float16;
  StepLoss result;
  optimizers_[group].zero_grad();
  const double share = 1.0 / static_cast<double>(batches.size());
  for (const Batch& batch : batches) {
    TrainingLoss loss;
    {
      const nn::Autocast autocast = this->autocast();
      const nn::TrainingMode training;
      loss = task_.loss(batch, group, progress_.step);
    }
    if (!loss.total.defined()) return result;
    (loss.total * (scaled ? share * scaler_.scale : share)).backward();
    result.loss += share * loss.total.item<double>();
    for (auto& [name, value] : loss.metrics) {
      Tensor& mean = result.metrics[name];
      const Tensor part = value.detach().to(at::kFloat) * share;
      mean = mean.defined() ? mean + part : part;
    }
  }
  std::vector<Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.tensor->grad().defined()) gradients.push_back(parameter.tensor->grad());
  }
  communicator_.average(gradients);
  bool finite = std::isfinite(result.loss);
  if (scaled) {
    finite = scaler_.unscale(parameters) && finite;
    finite = !communicator_.any(!finite);
    scaler_.update(finite);
    if (!finite && scaler_.scale >= 1) return result;  // overflow: left out, with a smaller scale
  }
  const double norm = finite ? gradient_norm(parameters) : 0;
  finite = !communicator_.any(!(finite && std::isfinite(norm)));
  if (!finite) {
    fail(
        "step {}: the loss is {} and the gradients' norm {}; nothing of this step is kept{}. A "
        "smaller learning rate, or gradient_clip_val, may mend it",
        progress_.step + 1, result.loss, norm,
        saved_step_ < 0 ? std::string()
                        : fmt::format(", and the checkpoint of step {} is as it was in {}",
                                      saved_step_, options_.folder.string()));
  }
  if (options_.config.gradient_clip_val > 0) {
    clip_gradients(parameters, norm, options_.config.gradient_clip_val);
  }
  if (group == 0) gradient_norm_ = norm;
  optimizers_[group].step(rate_);
  optimizers_[group].zero_grad();
  return result;
}

// One optimizer step of every group; the first group's loss.
double Run::step() {
  const auto start = Clock::now();
  // Dropout's numbers: different in every step and process, the same when a step is done again.
  at::manual_seed(mix_seed(mix_seed(options_.seed, static_cast<uint64_t>(progress_.step)),
                           static_cast<uint64_t>(communicator_.rank())));
  std::vector<Batch> batches;
  for (int64_t i = 0; i < accumulate(); ++i) batches.push_back(loader_.next());
  double loss = 0;
  rate_ = learning_rate();
  for (size_t group = 0; group < task_.groups.size(); ++group) {
    StepLoss done = step_group(group, batches);
    if (group == 0) loss = done.loss;
    add(progress_.sums, done.metrics, 1);
  }
  if (task_.after_step) task_.after_step();
  if (averages_) averages_->update();
  ++progress_.step;
  progress_.loss_scale = scaler_.scale;
  progress_.good_steps = scaler_.good_steps;
  seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
  return loss;
}

void Run::log_step() {
  const auto means = means_of(std::exchange(progress_.sums, {}));
  if (!is_main()) return;
  std::vector<Metric> metrics;
  for (const auto& [name, value] : means) metrics.push_back({"train/" + name, value});
  metrics.push_back({"lr", rate_});
  metrics.push_back({"grad_norm", gradient_norm_});
  metrics.push_back({"seconds_per_step", seconds_});
  if (options_.config.precision == Precision::Float16) {
    metrics.push_back({"loss_scale", scaler_.scale});
  }
  metrics_->write(progress_.step, metrics);
}

std::map<std::string, double> Run::validation_means(int64_t step, int64_t num_batches) {
  const at::NoGradGuard no_grad;
  const nn::Autocast autocast = this->autocast();
  MetricSums sums;
  int64_t left = num_batches;
  for_each_batch(
      *validation_,
      {.batch_size = options_.batch_size,
       .num_workers = options_.num_workers,
       .load_pictures = true},
      [&](Batch&& batch) {
        add(sums, task_.validate(batch, step), static_cast<double>(batch.size()));
        return --left != 0;
      },
      options_.log);
  return means_of(sums);
}

// Of the first `num_batches` batches (0: all), with the parameters and with their averages.
std::map<std::string, double> Run::validation_metrics(int64_t step, int64_t num_batches) {
  std::map<std::string, double> all;
  for (const auto& [name, value] : validation_means(step, num_batches)) all["val/" + name] = value;
  if (averages_) {
    const EmaScope scope(*averages_);
    for (const auto& [name, value] : validation_means(step, num_batches)) {
      all["val/" + name + "_ema"] = value;
    }
  }
  return all;
}

void Run::validate() {
  if (!is_main() || !validation_) return;
  const auto all = validation_metrics(progress_.step, options_.config.limit_val_batches);
  std::vector<Metric> metrics;
  std::string text;
  for (const auto& [name, value] : all) {
    metrics.push_back({name, value});
    text += fmt::format(" {} {:.4g}", name, value);
  }
  metrics_->write(progress_.step, metrics);
  say(options_.log, LogLevel::Info, fmt::format("step {}:{}", progress_.step, text));
  const auto found = all.find(options_.monitor);
  if (found == all.end() || options_.config.save_top_k == 0) return;
  if (std::isnan(progress_.best) || found->second < progress_.best) {
    progress_.best = found->second;
    save_model(task_, averages_ ? &*averages_ : nullptr, options_, "best");
  }
}

void Run::draw() {
  if (!is_main() || !task_.draw) return;
  const at::NoGradGuard no_grad;
  std::optional<EmaScope> scope;
  if (averages_) scope.emplace(*averages_);
  std::vector<Image> images;
  for_each_batch(
      validation_ ? *validation_ : data_, {.batch_size = options_.config.image_count},
      [&](Batch&& batch) {
        images = task_.draw(batch);
        return false;
      },
      options_.log);
  if (images.empty()) return;
  const auto per_row = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(images.size()))));
  const Image grid = make_grid(images, per_row + per_row % 2);
  save_picture(grid, options_.folder, progress_.step);
  metrics_->write_image(progress_.step, "images", grid);
}

void Run::save() {
  if (saved_step_ == progress_.step) return;
  if (is_main()) {
    Ema* averages = averages_ ? &*averages_ : nullptr;
    save_model(task_, averages, options_, "last");
    save_state(state_path(options_.folder), state(), progress_);
    if (options_.config.save_top_k < 0) {
      save_model(task_, averages, options_, fmt::format("step-{:08}", progress_.step));
    }
  }
  saved_step_ = progress_.step;
}

void Run::after_step() {
  const TrainerConfig& config = options_.config;
  if (due(config.log_every_n_steps)) log_step();
  const int64_t validation = validation_interval();
  const bool early = config.image_frequency > 0 && config.image_increase_log_steps &&
                     progress_.step < config.image_frequency &&
                     std::has_single_bit(static_cast<uint64_t>(progress_.step));
  if (early || due(config.image_frequency)) draw();
  if (due(validation)) validate();
  if (due(config.every_n_train_steps > 0 ? config.every_n_train_steps : validation)) save();
}

TrainOutcome Run::run() {
  start();
  const int64_t steps = num_steps();
  TrainOutcome result;
  double speed = 0;
  while (progress_.step < steps) {
    const double loss = step();
    const double now =
        static_cast<double>(options_.batch_size * accumulate() * communicator_.world()) / seconds_;
    speed = speed == 0 ? now : 0.9 * speed + 0.1 * now;
    if (options_.on_step) {
      options_.on_step({.step = progress_.step,
                        .steps = steps,
                        .loss = loss,
                        .learning_rate = rate_,
                        .examples_per_second = speed});
    }
    after_step();
    if (communicator_.any(options_.stop && options_.stop())) {
      result.stopped = progress_.step < steps;
      break;
    }
  }
  save();
  communicator_.barrier();
  result.step = progress_.step;
  result.num_bad = static_cast<int64_t>(loader_.bad().size() + options_.bad_examples.size());
  result.last = model_path(options_, "last");
  return result;
}

}  // namespace

TrainOutcome train(TrainingTask& task, const Dataset& data,
                   const std::optional<Dataset>& validation, Communicator& communicator,
                   const TrainerOptions& options) {
  return Run(task, data, validation, communicator, options).run();
}

}  // namespace easel
