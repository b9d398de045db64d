#include "options.h"

#include <type_traits>

#include <easel/base/error.h>

namespace easel::capi {

void set_option(Options& options, std::string_view name, std::string_view value) {
  bool found = false;
  std::vector<std::string_view> known;
  visit_fields(options, [&](auto& field, const FieldInfo& info) {
    known.push_back(info.name);
    if (info.name != name) return;
    found = true;
    if (!parse_field(value, field)) {
      fail_usage("option '{}' takes {}, not '{}'", name, field_kind(field), printable(value));
    }
  });
  if (!found) throw Error(unknown_name("option", name, known), ErrorKind::Usage);
}

std::span<const OptionText> option_texts() {
  static const std::vector<OptionText> texts = [] {
    std::vector<OptionText> list;
    Options defaults;
    visit_fields(defaults, [&](auto&, const FieldInfo& info) {
      list.push_back({.name = std::string(info.name), .help = std::string(info.help)});
    });
    return list;
  }();
  return texts;
}

}  // namespace easel::capi
