#include "cli/arguments.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "cli/txt2img_options.h"

namespace easel::cli {
namespace {

struct Parsed {
  Txt2ImgOptions options;
  Given given;
};

Parsed parse(std::vector<const char*> arguments) {
  Parsed parsed;
  parsed.given = parse_arguments(options_of(parsed.options), arguments);
  return parsed;
}

std::string error_of(std::vector<const char*> arguments, bool resolved = false) {
  try {
    Parsed parsed = parse(std::move(arguments));
    if (resolved) resolve(parsed.options.drawing, parsed.given);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return "";
}

TEST(Arguments, TakeCompVissCommandLine) {
  const auto [options, given] = parse({"--prompt",     "a cat",
                                       "--outdir",     "out",
                                       "--skip_grid",  "--skip_save",
                                       "--ddim_steps", "20",
                                       "--plms",       "--fixed_code",
                                       "--ddim_eta",   "0.0",
                                       "--n_iter",     "1",
                                       "--H",          "256",
                                       "--W",          "128",
                                       "--C",          "4",
                                       "--f",          "8",
                                       "--n_samples",  "2",
                                       "--n_rows",     "1",
                                       "--scale",      "5",
                                       "--config",     "c.yaml",
                                       "--ckpt",       "m.ckpt",
                                       "--seed",       "7",
                                       "--precision",  "full"});
  EXPECT_EQ(options.drawing.prompt.prompt, "a cat");
  EXPECT_EQ(options.drawing.output.outdir, "out");
  EXPECT_TRUE(options.drawing.output.skip_grid && options.drawing.output.skip_save &&
              options.drawing.sampling.plms && options.drawing.noise.fixed_code);
  EXPECT_EQ(options.drawing.sampling.steps, 20);
  EXPECT_EQ(options.drawing.sampling.eta, 0.0);
  EXPECT_EQ(options.drawing.batch.n_iter, 1);
  EXPECT_EQ(options.height, 256);
  EXPECT_EQ(options.width, 128);
  EXPECT_EQ(options.drawing.batch.n_samples, 2);
  EXPECT_EQ(options.drawing.output.n_rows, 1);
  EXPECT_EQ(options.drawing.sampling.scale, 5);
  EXPECT_EQ(options.drawing.model.config, "c.yaml");
  EXPECT_EQ(options.drawing.model.ckpt, "m.ckpt");
  EXPECT_EQ(options.drawing.noise.seed, 7);
  EXPECT_EQ(options.drawing.device.precision, "full");
  EXPECT_TRUE(given.has("steps"));
  EXPECT_FALSE(given.has("dpm_solver"));
}

TEST(Arguments, HaveCompVissDefaults) {
  const auto [options, given] = parse({});
  EXPECT_EQ(options.drawing.prompt.prompt, "a painting of a virus monster playing guitar");
  EXPECT_EQ(options.drawing.output.outdir, "outputs/txt2img-samples");
  EXPECT_EQ(options.drawing.sampling.sampler, "ddim");
  EXPECT_EQ(options.drawing.sampling.steps, 50);
  EXPECT_EQ(options.drawing.batch.n_iter, 2);
  EXPECT_EQ(options.drawing.batch.n_samples, 3);
  EXPECT_EQ(options.drawing.output.n_rows, 0);
  EXPECT_EQ(options.height, 512);
  EXPECT_EQ(options.width, 512);
  EXPECT_EQ(options.drawing.sampling.scale, 7.5);
  EXPECT_EQ(options.drawing.noise.seed, 42);
  EXPECT_EQ(options.drawing.device.precision, "autocast");
}

TEST(Arguments, TakeEverySpelling) {
  EXPECT_EQ(parse({"--ddim-steps=3"}).options.drawing.sampling.steps, 3);
  EXPECT_EQ(parse({"--n-samples", "4"}).options.drawing.batch.n_samples, 4);
  EXPECT_EQ(parse({"--from_file=-"}).options.drawing.prompt.from_file, "-");
  EXPECT_EQ(parse({"-n", "bad"}).options.drawing.prompt.negative_prompt, "bad");
  EXPECT_EQ(parse({"-nbad"}).options.drawing.prompt.negative_prompt, "bad");
  EXPECT_EQ(parse({"-o", "-"}).options.drawing.output.file, "-");
  EXPECT_EQ(parse({"--cfg_scale", "2"}).options.drawing.sampling.scale, 2);
  EXPECT_EQ(parse({"--seed", "-1"}).options.drawing.noise.seed, -1);
  EXPECT_FALSE(parse({"--plms=false"}).options.drawing.sampling.plms);
  EXPECT_EQ(parse({"--seed", "1", "--seed", "2"}).options.drawing.noise.seed, 2);
}

TEST(Arguments, TakeTextAsItStands) {
  for (const char* text : {"", "-", "- a dash", "-x", "a=b", "[a|b]", "{}", "%%", "--", "-- dashes",
                           "\"quoted\"", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(parse({"--prompt", text}).options.drawing.prompt.prompt, text);
  }
  EXPECT_EQ(parse({"--prompt=--plms"}).options.drawing.prompt.prompt, "--plms");
}

TEST(Arguments, SayWhatIsWrong) {
  const auto says = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(error_of({"--promt", "x"}), "did you mean '--prompt'");
  says(error_of({"--ddim_step", "x"}), "--ddim_steps");
  says(error_of({"-x"}), "unknown option '-x'");
  says(error_of({"a", "cat"}), "quotes");
  says(error_of({"--prompt"}), "needs a value");
  says(error_of({"--prompt", "--plms"}), "--prompt=--plms");
  says(error_of({"--steps", "ten"}), "a whole number, not 'ten'");
  says(error_of({"--scale", "nan"}), "a number");
  says(error_of({"--precision", "half"}), "autocast");
  says(error_of({"--plms=maybe"}), "true or false");
}

TEST(Arguments, RefuseContradictions) {
  const auto refuses = [](std::vector<const char*> arguments) {
    EXPECT_NE(error_of(std::move(arguments), true), "");
  };
  refuses({"--plms", "--sampler", "ddim"});
  refuses({"--plms", "--dpm_solver"});
  refuses({"--precision", "full", "--dtype", "float16"});
  refuses({"-o", "x.png", "--outdir", "out"});
  refuses({"-o", "x.gif"});
  refuses({"-o", ""});
  refuses({"--ckpt", "a", "--model", "b"});
  refuses({"--quiet", "--verbose"});
  refuses({"--laion400m"});
  refuses({"--n_samples", "0"});
  refuses({"--n_iter", "-1"});
  refuses({"--seed", "-2"});
  refuses({"--prompt", "\xff"});
  EXPECT_EQ(error_of({"--plms", "--sampler", "plms"}, true), "");
}

TEST(Arguments, ResolveWhatDependsOnOthers) {
  const auto resolved = [](std::vector<const char*> arguments) {
    Parsed parsed = parse(std::move(arguments));
    resolve(parsed.options.drawing, parsed.given);
    return parsed.options.drawing;
  };
  EXPECT_EQ(resolved({"--plms"}).sampling.sampler, "plms");
  EXPECT_EQ(resolved({"--dpm_solver"}).sampling.sampler, "dpm_solver");
  EXPECT_EQ(resolved({"--precision", "full"}).device.dtype, "float32");
  EXPECT_EQ(resolved({"-o", "x.png"}).batch.n_samples, 1);
  EXPECT_EQ(resolved({"-o", "x.jpg", "--n_samples", "2"}).batch.n_samples, 2);
  const int64_t drawn = resolved({"--seed", "-1"}).noise.seed;
  EXPECT_GE(drawn, 0);
  EXPECT_LE(drawn, int64_t{0xffffffff});
}

TEST(Help, NamesEveryOptionWithItsDefault) {
  Txt2ImgOptions options;
  const auto list = options_of(options);
  const std::string help = help_text(list);
  for (const Option& option : list) {
    EXPECT_NE(help.find("--" + std::string(option.info.name)), std::string::npos);
    EXPECT_FALSE(option.info.help.empty()) << option.info.name;
    EXPECT_FALSE(option.info.group.empty()) << option.info.name;
  }
  EXPECT_NE(help.find("--ddim_steps"), std::string::npos);
  EXPECT_NE(help.find("[7.5]"), std::string::npos);
  for (size_t at = 0; at < help.size();) {
    const size_t end = help.find('\n', at);
    EXPECT_LE(end - at, 100u) << help.substr(at, end - at);
    at = end + 1;
  }
}

TEST(Options, HaveNoNameTwice) {
  Txt2ImgOptions options;
  std::set<std::string> names;
  for (const Option& option : options_of(options)) {
    EXPECT_TRUE(names.emplace(option.info.name).second) << option.info.name;
    for (const auto alias : split_list(option.info.aliases)) {
      EXPECT_TRUE(names.emplace(alias).second) << alias;
    }
  }
}

}  // namespace
}  // namespace easel::cli
