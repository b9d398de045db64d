#include "easel/base/tensor.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace easel {
namespace {

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 14> kDtypeNames{{
    {"float32", at::kFloat},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"float64", at::kDouble},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"uint8", at::kByte},
    {"bool", at::kBool},
    {"complex64", at::kComplexFloat},
    {"complex128", at::kComplexDouble},
    {"float8_e4m3fn", at::kFloat8_e4m3fn},
    {"float8_e5m2", at::kFloat8_e5m2},
}};

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  for (const auto& [name, type] : kDtypeNames) {
    if (type == dtype) return std::string(name);
  }
  return at::toString(dtype);
}

std::optional<at::ScalarType> dtype_from_name(std::string_view name) {
  for (const auto& [known, type] : kDtypeNames) {
    if (known == name) return type;
  }
  return std::nullopt;
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  }
  return text + "]";
}

}  // namespace easel
