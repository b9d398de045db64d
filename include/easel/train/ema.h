// The running average of a model's weights that CompVis's LitEma keeps (ldm/modules/ema.py).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/module.h>

namespace easel {

struct EmaOptions {
  double decay = 0.9999;  // 0 to 1
  // Shortens the memory of the first updates: the n-th, from 1, decays by
  // min(decay, (1 + n) / (10 + n)).
  bool use_num_updates = true;
};

// Owns the averages, float32 on the parameters' device; starts as a copy of the parameters. The
// parameters must outlive it and stay where they are. One thread at a time.
class Ema {
 public:
  // Throws Error (Usage) where the decay is out of range.
  explicit Ema(std::vector<nn::NamedParameter<Tensor*>> parameters, EmaOptions options = {});

  // average += (1 - decay) * (parameter - average)
  void update();

  // The averages under the parameters' names; they share memory with it.
  std::map<std::string, Tensor> tensors() const;

  // Copies averages of the same names and shapes in. Throws Error, before anything is changed,
  // where one is missing, left over or of another shape, or `num_updates` is below -1.
  void load(const std::map<std::string, Tensor>& tensors, int64_t num_updates);

  double decay() const { return options_.decay; }
  int64_t num_updates() const { return num_updates_; }  // -1: not counted

 private:
  friend class EmaScope;
  std::vector<nn::NamedParameter<Tensor*>> parameters_;
  EmaOptions options_;
  int64_t num_updates_ = 0;
  std::vector<Tensor> averages_;
};

// The model has its averages while this lives, and its own parameters, the same tensors as before,
// afterwards. Meanwhile neither is updated.
class EmaScope {
 public:
  explicit EmaScope(const Ema& ema);
  ~EmaScope();
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  const Ema& ema_;
  std::vector<Tensor> own_;
};

// The tensors of a CompVis checkpoint that hold averages: model_ema.X, the dots in X taken out, for
// every model.X in `tensors`, and model_ema.decay and model_ema.num_updates. Other names are left
// out.
std::map<std::string, Tensor> compvis_ema_tensors(const std::map<std::string, Tensor>& tensors,
                                                  double decay, int64_t num_updates);

// model_ema.num_updates of a CompVis checkpoint; -1 where it has none.
int64_t compvis_ema_num_updates(const std::map<std::string, Tensor>& checkpoint);

}  // namespace easel
