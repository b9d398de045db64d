// Field lists: an options struct names each field once, and the command line, the help, the JSON and
// the picture's settings text are derived from that one list.
//
//   struct SamplingOptions {
//     int64_t steps = 50;
//     template <class Self, class Visit>
//     static void fields(Self& self, Visit&& visit) {
//       visit(self.steps, FieldInfo{.name = "steps", .aliases = "ddim_steps", .help = "..."});
//     }
//   };
//
// Field types: bool, int64_t, double, std::string, std::vector<std::string>,
// std::filesystem::path, and std::optional of these. The struct's default member initialiser is the
// default that the help shows.
#pragma once

#include <string_view>
#include <type_traits>

namespace easel {

struct FieldInfo {
  std::string_view name;          // the option's main name: words joined by '-', without leading dashes
  std::string_view aliases = "";  // other spellings, comma-separated ("ddim_steps"; one letter: "o")
  std::string_view group = "";    // heading in the help
  std::string_view help = "";     // one sentence: what it is, its unit and range
  std::string_view value = "";    // placeholder in the help: "N", "FILE"
  bool setting = true;            // true: it shapes the picture, and is recorded with it
};

// Calls visit(member, FieldInfo) for every field of `options`, in the order of the list.
template <class Options, class Visit>
void visit_fields(Options& options, Visit&& visit) {
  std::remove_const_t<Options>::fields(options, visit);
}

}  // namespace easel
