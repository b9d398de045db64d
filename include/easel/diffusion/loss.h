// What a diffusion model is trained with: CompVis's LatentDiffusion.p_losses.
#pragma once

#include <map>
#include <string>

#include <easel/base/fields.h>
#include <easel/base/tensor.h>
#include <easel/diffusion/denoiser.h>
#include <easel/diffusion/process.h>

namespace easel {

// CompVis's `model.params`, and snr_gamma, which is ours.
struct DiffusionLossOptions {
  std::string loss_type = "l2";     // "l1" or "l2": of the difference to the target
  double l_simple_weight = 1;       // of the plain loss, 0 or more
  double original_elbo_weight = 0;  // of the loss weighted as in the variational bound, 0 or more
  bool learn_logvar = false;        // log-variances of the plain loss, one a timestep, are learnt
  double logvar_init = 0;           // their first value; without learn_logvar their only one
  double snr_gamma = 0;  // min-SNR weighting's gamma, usually 5; 0: off (Hang et al. 2023, arXiv
                         // 2303.09556)

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.loss_type, FieldInfo{.name = "loss_type", .choices = "l1,l2"});
    visit(self.l_simple_weight, FieldInfo{.name = "l_simple_weight"});
    visit(self.original_elbo_weight, FieldInfo{.name = "original_elbo_weight"});
    visit(self.learn_logvar, FieldInfo{.name = "learn_logvar"});
    visit(self.logvar_init, FieldInfo{.name = "logvar_init"});
    visit(self.snr_gamma, FieldInfo{.name = "snr_gamma"});
  }
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const DiffusionLossOptions& options);

struct DiffusionLoss {
  Tensor loss;  // the scalar to minimise
  // Scalars without gradient by CompVis's names: loss_simple, loss_vlb, loss; with learn_logvar
  // also loss_gamma and logvar. loss_simple is the plain mean whatever the weights are.
  std::map<std::string, Tensor> metrics;
};

// The first value of what learn_logvar learns: [timesteps], float32, on the CPU.
Tensor initial_logvar(const DiffusionProcess& process, const DiffusionLossOptions& options);

// The loss of `network` at x_t = q_sample(x_start, t_B, noise), in float32 at least:
//
//   d_i   = mean over an example of |target - output| (l1) or its square (l2)
//   loss  = l_simple_weight * mean(w_i * (d_i / exp(logvar_t) + logvar_t))
//           + original_elbo_weight * mean(lvlb_weights_t * d_i)
//
// w is 1, or with snr_gamma min(SNR, gamma) over SNR (eps), SNR + 1 (v) or 1 (x0).
// `logvar_T`: the learnt log-variances [timesteps]; it must be given where learn_logvar is set, and
// only there. Throws Error on wrong shapes and timesteps.
DiffusionLoss p_losses(const DiffusionProcess& process, const Network& network,
                       const Tensor& x_start, const Tensor& t_B, const Tensor& noise,
                       const Conditioning& conditioning, const DiffusionLossOptions& options,
                       const Tensor& logvar_T = {});

}  // namespace easel
