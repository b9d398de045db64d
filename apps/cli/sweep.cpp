#include "cli/sweep.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

constexpr size_t kMaxParts = 10;
constexpr size_t kMaxCells = 1024;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char c : text) {
    if (c == '"' && separator == ',')
      quoted = !quoted;
    else if (c == separator && !quoted)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (quoted) fail_usage("a quote (\") is not closed in '{}'", printable(text, 60));
  return parts;
}

// As A1111 does: spaces go, then commas.
std::string stripped(std::string_view text) {
  for (const std::string_view set : {std::string_view(" \t"), std::string_view(",")}) {
    const size_t first = text.find_first_not_of(set);
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(set) - first + 1);
  }
  return std::string(text);
}

// The chosen of `parts`, those whose bit is set.
std::vector<std::string> chosen(std::span<const std::string> parts, size_t bits) {
  std::vector<std::string> list;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (bits >> i & 1) list.push_back(parts[i]);
  }
  return list;
}

std::string joined(const std::vector<std::string>& list) {
  return fmt::format("{}", fmt::join(list, ", "));
}

std::string replaced(std::string text, const std::string& old, const std::string& with) {
  for (size_t at = 0; (at = text.find(old, at)) != std::string::npos; at += with.size()) {
    text.replace(at, old.size(), with);
  }
  return text;
}

struct Axis {
  std::string name;                // main name of an option
  std::optional<std::string> old;  // of the prompt
  std::vector<std::string> values;

  std::string label(size_t i) const {
    return old || name == "prompt" ? values[i] : fmt::format("{}: {}", name, values[i]);
  }
};

Axis parse_axis(std::string_view text, std::span<const Option> options) {
  const size_t equals = text.find('=');
  if (text.size() < 3 || text[1] != ':' || (text[0] != 'x' && text[0] != 'y') ||
      equals == std::string_view::npos) {
    fail_usage("--xy takes x:NAME=A,B or y:NAME=A,B, not '{}'", printable(text, 60));
  }
  Axis axis{.name = std::string(text.substr(2, equals - 2)), .old = {}, .values = {}};
  if (axis.name.starts_with("prompt:")) {
    axis.old = axis.name.substr(7);
    if (axis.old->empty()) fail_usage("--xy: '{}' has nothing to replace", printable(text, 60));
    axis.name = "prompt";
  }
  axis.values = split(text.substr(equals + 1), ',');
  const Option* option = find_option(options, axis.name);
  if (option == nullptr) fail_unknown_option(options, axis.name);
  axis.name = option->info.name;
  return axis;
}

}  // namespace

Sweep prompt_matrix(const std::string& text) {
  std::vector<std::string> parts = split(text, '|');
  const std::string first = parts[0];
  parts.erase(parts.begin());
  if (parts.size() > kMaxParts) {
    fail_usage(
        "--prompt-matrix has {} parts to choose from, which makes 2^{} pictures; it may have {}",
        parts.size(), parts.size(), kMaxParts);
  }
  for (std::string& part : parts) part = stripped(part);
  const size_t across = (parts.size() + 1) / 2;
  const auto all = std::span<const std::string>(parts);
  Sweep sweep;
  for (size_t bits = 0; bits < size_t{1} << parts.size(); ++bits) {
    std::vector<std::string> list = chosen(all, bits);
    list.insert(list.begin(), first);
    PromptLine cell;
    cell.prompt = joined(list);
    cell.where = fmt::format("cell {}", bits + 1);
    sweep.cells.push_back(std::move(cell));
  }
  for (size_t bits = 0; bits < size_t{1} << across; ++bits) {
    sweep.columns.push_back(joined(chosen(all.first(across), bits)));
  }
  for (size_t bits = 0; bits < size_t{1} << (parts.size() - across); ++bits) {
    sweep.rows.push_back(joined(chosen(all.subspan(across), bits)));
  }
  return sweep;
}

Sweep xy_sweep(std::span<const std::string> axes, const std::string& prompt,
               std::span<const Option> options) {
  std::optional<Axis> x;
  std::optional<Axis> y;
  for (const std::string& text : axes) {
    Axis axis = parse_axis(text, options);
    std::optional<Axis>& place = text[0] == 'x' ? x : y;
    if (place) fail_usage("--xy names the {} axis twice", text[0]);
    if (axis.old && prompt.find(*axis.old) == std::string::npos) {
      fail_usage("--xy: '{}' is not in the prompt", printable(*axis.old, 60));
    }
    place = std::move(axis);
  }
  if (x && y && x->name == y->name && !(x->old && y->old)) {
    fail_usage("--xy: both axes change --{}", x->name);
  }
  const size_t columns = x ? x->values.size() : 1;
  const size_t rows = y ? y->values.size() : 1;
  if (columns * rows > kMaxCells) {
    fail_usage("--xy asks for {} pictures in one sheet; it may have {}", columns * rows, kMaxCells);
  }
  Sweep sweep;
  for (size_t i = 0; i < columns; ++i) sweep.columns.push_back(x ? x->label(i) : std::string());
  for (size_t i = 0; i < rows; ++i) sweep.rows.push_back(y ? y->label(i) : std::string());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      PromptLine cell;
      cell.prompt = prompt;
      cell.where = fmt::format("cell {},{}", column + 1, row + 1);
      const auto change = [&](const std::optional<Axis>& axis, size_t i) {
        if (!axis) return;
        if (axis->old)
          cell.prompt = replaced(*cell.prompt, *axis->old, axis->values[i]);
        else if (axis->name == "prompt")
          cell.prompt = axis->values[i];
        else
          add_change(cell.changes, options, axis->name, axis->values[i]);
      };
      change(x, column);
      change(y, row);
      sweep.cells.push_back(std::move(cell));
    }
  }
  return sweep;
}

void set_seed(Sweep& sweep, int64_t seed) {
  for (PromptLine& cell : sweep.cells) {
    const auto is_seed = [](const auto& change) { return change.first == "seed"; };
    if (std::none_of(cell.changes.begin(), cell.changes.end(), is_seed)) {
      cell.changes.emplace_back("seed", std::to_string(seed));
    }
    cell.count = 1;
  }
}

}  // namespace easel::cli
