// Options: what is drawn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/fields.h>

namespace easel::cli {

// The prompt and what is made of it.
struct PromptOptions {
  std::string prompt = "a painting of a virus monster playing guitar";
  std::string negative_prompt;
  std::string from_file;
  std::filesystem::path from_image;
  std::filesystem::path wildcards;
  std::string prompt_matrix;
  std::vector<std::string> xy;
  int64_t clip_skip = 1;
  std::string weighting = "none";
  std::vector<std::string> embeddings{};
  std::vector<std::string> lora{};
  std::filesystem::path lora_dir = "models/lora";
  std::vector<std::string> control{};
  std::vector<std::string> ip_adapter{};
  std::filesystem::path image_encoder{};
  bool explain = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "What to draw";
    visit(self.prompt,
          FieldInfo{.name = "prompt", .group = group, .help = "what to draw", .value = "TEXT"});
    visit(self.negative_prompt,
          FieldInfo{.name = "negative-prompt",
                    .aliases = "n",
                    .group = group,
                    .help = "what to stay away from (needs a scale other than 1)",
                    .value = "TEXT"});
    visit(self.from_file,
          FieldInfo{.name = "from-file",
                    .group = group,
                    .help =
                        "prompts instead of --prompt, one a line, in batches of n_samples; '-' is "
                        "the standard input; a line may have options of its own (TEXT -n 2 --steps "
                        "20) or be a JSON object",
                    .value = "FILE",
                    .setting = false});
    visit(
        self.from_image,
        FieldInfo{.name = "from-image",
                  .group = group,
                  .help = "draw with the settings that FILE carries (a PNG or JPEG of Easel, A1111 "
                          "or stable-diffusion.cpp); other options win",
                  .value = "FILE",
                  .setting = false});
    visit(self.wildcards,
          FieldInfo{.name = "wildcards",
                    .group = group,
                    .help = "let prompts choose by the picture's seed: {a|b|c} is one of them, "
                            "{2$$a|b|c} two, __NAME__ a line of DIR/NAME.txt",
                    .value = "DIR",
                    .setting = false});
    visit(self.prompt_matrix,
          FieldInfo{.name = "prompt-matrix",
                    .group = group,
                    .help =
                        "instead of --prompt: \"a house|in snow|at night\" is the first part with "
                        "every choice of the others, in one sheet",
                    .value = "TEXT",
                    .setting = false});
    visit(self.xy,
          FieldInfo{.name = "xy",
                    .group = group,
                    .help = "a sheet of pictures that differ in one or two options: "
                            "\"x:sampler=ddim,plms\" \"y:scale=5,7.5\"; x:prompt:OLD=NEW,NEWER "
                            "replaces words of the prompt",
                    .value = "AXIS",
                    .setting = false});
    visit(
        self.clip_skip,
        FieldInfo{.name = "clip-skip",
                  .group = group,
                  .help = "which layer of the text encoder is used, counted from its end; 1 is the "
                          "model's own",
                  .value = "N"});
    visit(self.weighting,
          FieldInfo{.name = "weighting",
                    .group = group,
                    .help = "who reads the prompts: none, every character is text, as CompVis's "
                            "program; a1111, with (weights:1.2), [a:b:0.5], [a|b], BREAK, AND and "
                            "any length; comfy, with (weights:1.2) and any length",
                    .value = "NAME",
                    .choices = "none,a1111,comfy"});
    visit(self.embeddings,
          FieldInfo{.name = "embeddings",
                    .group = group,
                    .help = "textual inversion: a file, or a folder of them, used by file name in "
                            "the prompts; may be given again",
                    .value = "PATH",
                    .setting = false});
    visit(self.lora,
          FieldInfo{.name = "lora",
                    .group = group,
                    .help = "a LoRA, LoHa, LoKr or DoRA for every picture, a file or a name in "
                            "--lora-dir, with its weight (default 1); may be given again; in a "
                            "prompt: <lora:NAME:WEIGHT>; :lbw=N,N,... behind the weight gives the "
                            "17 or 26 numbers of block weights",
                    .value = "FILE[:WEIGHT]",
                    .setting = false});
    visit(self.lora_dir, FieldInfo{.name = "lora-dir",
                                   .group = group,
                                   .help = "where they are looked for by name",
                                   .value = "DIR",
                                   .setting = false});
    visit(
        self.control,
        FieldInfo{.name = "control",
                  .group = group,
                  .help = "a ControlNet or a T2I-Adapter (file or diffusers folder) and the "
                          "picture it goes by, edges, depth or the like; how strongly (1), and in "
                          "which part of the run (0:1); may be given again",
                  .value = "MODEL:PICTURE[:STRENGTH[:START:END]]"});
    visit(self.ip_adapter,
          FieldInfo{.name = "ip-adapter",
                    .group = group,
                    .help = "an IP-Adapter and a picture that says what to draw beside the prompt; "
                            "how much it counts (1); may be given again",
                    .value = "ADAPTER:PICTURE[:SCALE]"});
    visit(
        self.image_encoder,
        FieldInfo{.name = "image-encoder",
                  .group = group,
                  .help = "what looks at these pictures: a file or folder of CLIP's image encoder; "
                          "by default image_encoder beside the first adapter",
                  .value = "PATH"});
    visit(self.explain,
          FieldInfo{.name = "explain-prompt",
                    .group = group,
                    .help = "say how the prompts are read, in tokens and weights, and end",
                    .setting = false});
  }
};

}  // namespace easel::cli
