// What a program that draws does from its command line to its last file, apart from what is its
// own.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include <easel/pipeline/run.h>

#include "cli/about.h"
#include "cli/arguments.h"
#include "cli/doctor.h"
#include "cli/drawing_options.h"
#include "cli/interrupt.h"
#include "cli/program.h"
#include "cli/settings_text.h"

namespace easel::cli {

// A program's command line once it is read, and the program's own part of the work. The references
// must outlive the drawing; each function may be empty.
struct DrawingProgram {
  std::string_view name;
  DrawingOptions& options;           // within the program's own
  std::span<const Option> list;      // all the options
  std::span<const Option> defaults;  // those that a model may bring defaults for
  Given& given;

  // Remembers the options and what is given as they are; what it returns puts them back.
  std::function<std::function<void()>()> remember;
  // Checks the program's own options and puts them into the settings, before a model is loaded and
  // again once its defaults are in. Throws Error (Usage).
  std::function<void(PictureSettings&)> settle;
  // Completes the request for the model that was opened.
  std::function<void(RunRequest&, const ModelSummary&)> complete;
  // The options as a picture's settings text has them, and what goes into A1111's list.
  std::function<void(MadeWith&)> describe;
};

template <class Options>
std::function<std::function<void()>()> remember_options(Options& options, Given& given) {
  return [&options, &given] {
    return [&options, &given, kept = options, kept_given = given] {
      options = kept;
      given = kept_given;
    };
  };
}

// The program's options as they stand, checked, as settings. Throws Error (Usage).
PictureSettings settle(const DrawingProgram& program);

// Draws what the options ask for and returns the exit code. Throws Error.
int draw(const DrawingProgram& program);

// The whole of main(): reads the command line into Options, which hold DrawingOptions `drawing`,
// answers the questions about the program, or calls work(options, list, given).
template <class Options>
int run_drawing_program(const ProgramText& program, int argc, char** argv,
                        int (*work)(Options&, std::span<const Option>, Given&)) {
  catch_interrupts();
  return run_program(program.name, [&] {
    Options options;
    const std::vector<Option> list = options_of(options);
    const auto arguments =
        std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0);
    Given given = parse_arguments(list, arguments);
    const MessageOptions& asked = options.drawing.messages;
    Options defaults;
    if (const auto text = about(program, asked.about, options_of(defaults))) {
      print_stdout(*text);
    } else if (asked.list_samplers) {
      print_stdout(sampler_table());
    } else if (asked.doctor) {
      return run_doctor(program.name, options.drawing);
    } else {
      return work(options, list, given);
    }
    return 0;
  });
}

}  // namespace easel::cli
