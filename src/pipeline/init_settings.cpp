#include "easel/pipeline/init_settings.h"

#include <array>

#include <easel/base/error.h>

namespace easel {

Encode encode_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 2> names = {"mean", "sample"};
  if (name == names[0]) return Encode::Mean;
  if (name == names[1]) return Encode::Sample;
  throw Error(unknown_name("encoding", name, names), ErrorKind::Usage);
}

void check_strength(double strength) {
  if (strength >= 0 && strength <= 1) return;
  fail_usage(
      "strength is {}; it is 0 to 1: 0 leaves the picture as it is, 1 leaves nothing of it, 0.75 "
      "is usual",
      strength);
}

}  // namespace easel
