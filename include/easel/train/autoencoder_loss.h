// What the autoencoder is trained with: CompVis's LPIPSWithDiscriminator (Esser et al. 2021, arXiv
// 2012.09841, section 3.1) without its perceptual part, whose VGG weights Easel does not have.
//
//   generator      nll + kl_weight KL + d_weight disc_factor (-mean logits_fake)
//   nll            sum over an example of |x - reconstruction| / exp(logvar) + logvar, mean over B
//   d_weight       disc_weight |d nll / d last_layer| / (|d g_loss / d last_layer| + 1e-4)
//   discriminator  disc_factor times the hinge or the logistic loss of the logits
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <easel/base/fields.h>
#include <easel/base/tensor.h>
#include <easel/models/autoencoder.h>
#include <easel/models/patch_discriminator.h>
#include <easel/train/task.h>

namespace easel {

// CompVis's `lossconfig.params`, with its defaults; disc_ndf is taming-transformers'.
struct AutoencoderLossOptions {
  int64_t disc_start = 50001;   // the step from which the discriminator takes part (CompVis's
                                // configs; it has no default there)
  double logvar_init = 0;       // first value of the reconstruction's log-variance
  double kl_weight = 1;         // 0 or more; CompVis's configs have 1e-6
  double pixelloss_weight = 1;  // CompVis reads it and uses it nowhere, so only 1 is accepted
  int64_t disc_num_layers = 3;
  int64_t disc_in_channels = 3;
  int64_t disc_ndf = 64;
  double disc_factor = 1;        // of both adversarial losses; 0: there is no discriminator
  double disc_weight = 1;        // of the adaptive weight, 0 or more
  double perceptual_weight = 1;  // must be set to 0
  bool use_actnorm = false;
  bool disc_conditional = false;    // the discriminator sees a condition stacked on the pictures
  std::string disc_loss = "hinge";  // or "vanilla"

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.disc_start, FieldInfo{.name = "disc_start"});
    visit(self.logvar_init, FieldInfo{.name = "logvar_init"});
    visit(self.kl_weight, FieldInfo{.name = "kl_weight"});
    visit(self.pixelloss_weight, FieldInfo{.name = "pixelloss_weight"});
    visit(self.disc_num_layers, FieldInfo{.name = "disc_num_layers"});
    visit(self.disc_in_channels, FieldInfo{.name = "disc_in_channels"});
    visit(self.disc_ndf, FieldInfo{.name = "disc_ndf"});
    visit(self.disc_factor, FieldInfo{.name = "disc_factor"});
    visit(self.disc_weight, FieldInfo{.name = "disc_weight"});
    visit(self.perceptual_weight, FieldInfo{.name = "perceptual_weight"});
    visit(self.use_actnorm, FieldInfo{.name = "use_actnorm"});
    visit(self.disc_conditional, FieldInfo{.name = "disc_conditional"});
    visit(self.disc_loss, FieldInfo{.name = "disc_loss", .choices = "hinge,vanilla"});
  }
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const AutoencoderLossOptions& options);

// The discriminator that the options describe.
PatchDiscriminatorConfig discriminator_config(const AutoencoderLossOptions& options);

// Whether the discriminator takes part in this step: disc_factor > 0 and step >= disc_start. Where
// it does not, it is not run at all (CompVis runs it and multiplies its losses by 0).
bool is_adversarial(const AutoencoderLossOptions& options, int64_t global_step);

// Pictures [B, C, H, W] to logits, such as PatchDiscriminator::forward_training while training and
// forward in validation. Called only where is_adversarial.
using Discriminator = std::function<Tensor(const Tensor& x_BCHW)>;

// One batch, after the autoencoder. Any floating-point types; losses are taken in float32 at least.
struct ReconstructedBatch {
  Tensor inputs_BCHW;
  Tensor reconstructions_BCHW;
  Posterior posterior;
  Tensor weights;         // of the nll in the loss, of a shape that broadcasts; undefined: 1
  Tensor condition_BCHW;  // where disc_conditional is set, and only there
};

// The loss of the autoencoder, and of `logvar` (a scalar), and the metrics total_loss, logvar,
// kl_loss, nll_loss, rec_loss, d_weight, disc_factor and, where is_adversarial, g_loss.
// `last_layer`: the weight of the decoder's last layer, for the adaptive weight; unused where not
// is_adversarial. Where gradients are off (validation), d_weight is 0, as in CompVis. The backward
// pass of the loss also reaches the discriminator's parameters; they are not to be stepped by it.
TrainingLoss generator_loss(const AutoencoderLossOptions& options, const ReconstructedBatch& batch,
                            const Tensor& logvar, const Discriminator& discriminator,
                            const Tensor& last_layer, int64_t global_step);

// The loss of the discriminator, none of which reaches the autoencoder, and the metrics disc_loss,
// logits_real and logits_fake. Where not is_adversarial: no loss and no metrics.
TrainingLoss discriminator_loss(const AutoencoderLossOptions& options,
                                const ReconstructedBatch& batch, const Discriminator& discriminator,
                                int64_t global_step);

}  // namespace easel
