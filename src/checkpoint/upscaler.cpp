#include "easel/checkpoint/upscaler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

namespace easel {
namespace {

// The tensors of the network, without what training programs wrap them in: Real-ESRGAN's averaged
// weights are preferred, as its own program prefers them.
Tensors unwrapped(Tensors tensors) {
  for (const std::string prefix : {"params_ema.", "params.", "module."}) {
    Tensors inner;
    for (const auto& [name, tensor] : tensors) {
      if (name.starts_with(prefix)) inner.emplace(name.substr(prefix.size()), tensor);
    }
    if (!inner.empty()) tensors = std::move(inner);
  }
  return tensors;
}

std::vector<std::string> split(const std::string& name) {
  std::vector<std::string> parts(1);
  for (const char c : name) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::optional<int64_t> number(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() < 6 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::optional<int64_t>(std::stoll(text)) : std::nullopt;
}

// ESRGAN's first layout numbers its layers in a row, activations and enlargements among them:
// "model.0", "model.1.sub.I.RDB1.conv1.0", the last of model.1.sub is a convolution; then three
// layers a doubling, of which the last but one is a convolution; then two convolutions. Where the
// layers end is said by the largest number.
std::string of_first_layout(const std::string& name, int64_t last_layer, int64_t last_sub) {
  const std::vector<std::string> parts = split(name);
  if (parts.size() < 3 || parts[0] != "model") return name;
  const std::string& kind = parts.back();
  if (parts[1] == "0" && parts.size() == 3) return "conv_first." + kind;
  if (parts[1] == "1" && parts[2] == "sub") {
    if (parts.size() == 5 && number(parts[3]) == last_sub) return "conv_body." + kind;
    if (parts.size() == 8 && parts[4].starts_with("RDB")) {
      return "body." + parts[3] + ".rdb" + parts[4].substr(3) + "." + parts[5] + "." + kind;
    }
    return name;
  }
  const auto layer = number(parts[1]);
  if (!layer || parts.size() != 3) return name;
  if (*layer == last_layer) return "conv_last." + kind;
  if (*layer == last_layer - 2) return "conv_hr." + kind;
  if (*layer % 3 == 0) return "conv_up" + std::to_string(*layer / 3) + "." + kind;
  return name;
}

std::string of_bsrgan_layout(std::string name) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    if (name.starts_with(from)) name = std::string(to) + name.substr(from.size());
  };
  replace("trunk_conv.", "conv_body.");
  replace("HRconv.", "conv_hr.");
  replace("upconv", "conv_up");
  if (name.starts_with("RRDB_trunk.")) {
    replace("RRDB_trunk.", "body.");
    const size_t block = name.find(".RDB");
    if (block != std::string::npos) name.replace(block, 4, ".rdb");
  }
  return name;
}

Tensors with_native_names(const Tensors& tensors) {
  int64_t last_layer = 0;
  int64_t last_sub = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::vector<std::string> parts = split(name);
    if (parts.size() < 3 || parts[0] != "model") continue;
    last_layer = std::max(last_layer, number(parts[1]).value_or(0));
    if (parts.size() > 3 && parts[2] == "sub") {
      last_sub = std::max(last_sub, number(parts[3]).value_or(0));
    }
  }
  Tensors native;
  for (const auto& [name, tensor] : tensors) {
    native.emplace(of_bsrgan_layout(of_first_layout(name, last_layer, last_sub)), tensor);
  }
  return native;
}

// Size `dim` of the convolution `name`; 0 where it is not there or no convolution.
int64_t conv_size(const Tensors& tensors, const std::string& name, int64_t dim) {
  const auto found = tensors.find(name + ".weight");
  return found != tensors.end() && found->second.dim() == 4 ? found->second.size(dim) : 0;
}

int64_t exact_root(int64_t square) {
  const auto root = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(square))));
  return root * root == square ? root : 0;
}

std::optional<RrdbConfig> rrdb_config(const Tensors& tensors) {
  const int64_t in = conv_size(tensors, "conv_first", 1);
  RrdbConfig config{.channels = conv_size(tensors, "conv_last", 0),
                    .features = conv_size(tensors, "conv_first", 0),
                    .growth = conv_size(tensors, "body.0.rdb1.conv1", 0),
                    .num_blocks = 0,
                    .num_doublings = 0};
  if (in == 0 || config.channels == 0 || config.growth == 0 || in % config.channels != 0) {
    return std::nullopt;
  }
  config.unshuffle = exact_root(in / config.channels);
  if (config.unshuffle == 0) return std::nullopt;
  for (const auto& [name, tensor] : tensors) {
    const std::vector<std::string> parts = split(name);
    if (parts[0] == "body" && parts.size() > 1) {
      config.num_blocks = std::max(config.num_blocks, number(parts[1]).value_or(-1) + 1);
    }
    if (parts[0].starts_with("conv_up") && parts[0].size() == 8) {
      config.num_doublings = std::max(config.num_doublings, number(parts[0].substr(7)).value_or(0));
    }
  }
  return config;
}

std::optional<CompactConfig> compact_config(const Tensors& tensors) {
  int64_t last = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::vector<std::string> parts = split(name);
    if (parts[0] == "body" && parts.size() == 3)
      last = std::max(last, number(parts[1]).value_or(0));
  }
  CompactConfig config{.channels = conv_size(tensors, "body.0", 1),
                       .features = conv_size(tensors, "body.0", 0),
                       .num_convs = last / 2 - 1};
  const int64_t out = conv_size(tensors, "body." + std::to_string(last), 0);
  const bool has_slopes =
      tensors.contains("body.1.weight") && tensors.at("body.1.weight").dim() == 1;
  if (config.channels == 0 || last < 2 || last % 2 != 0 || out == 0 || !has_slopes ||
      out % config.channels != 0) {
    return std::nullopt;
  }
  config.scale = exact_root(out / config.channels);
  if (config.scale == 0) return std::nullopt;
  return config;
}

template <class Network>
Network filled(Network network, Tensors tensors, const std::string& name, const Upscaler& wanted) {
  std::vector<std::string> wrong;
  for (const auto& parameter : nn::named_parameters(network)) {
    const auto node = tensors.extract(parameter.name);
    if (!node) {
      wrong.push_back(parameter.name + " is missing");
    } else if (node.mapped().sizes() != parameter.tensor->sizes() ||
               !at::isFloatingType(node.mapped().scalar_type())) {
      wrong.push_back(fmt::format("{} is {} {}, where {} is expected", parameter.name,
                                  dtype_name(node.mapped().scalar_type()),
                                  shape_text(node.mapped().sizes()),
                                  shape_text(parameter.tensor->sizes())));
    } else {
      *parameter.tensor = node.mapped().to(wanted.device, wanted.dtype).contiguous();
    }
  }
  for (const auto& [left, tensor] : tensors) {
    wrong.push_back(printable(left) + " is not known");
  }
  constexpr size_t kMost = 8;
  const size_t num = wrong.size();
  if (num > kMost) wrong.resize(kMost);
  if (num > 0) {
    fail("{}: {} of its tensors do not fit an upscaler of this kind: {}{}", name, num,
         fmt::join(wrong, "; "), num > kMost ? "; ..." : "");
  }
  if (network.channels() != 3) {
    fail("{}: it enlarges pictures of {} channels; expected 3 (RGB)", name, network.channels());
  }
  return network;
}

}  // namespace

int64_t Upscaler::scale() const {
  return std::visit([](const auto& chosen) { return chosen.scale(); }, network);
}

Tensor Upscaler::forward(const Tensor& x_BCHW) const {
  const Tensor x = x_BCHW.to(device, dtype);
  return std::visit([&](const auto& chosen) { return chosen.forward(x); }, network);
}

Upscaler load_upscaler(const std::filesystem::path& path, at::Device device, at::ScalarType dtype) {
  if (!std::filesystem::exists(path)) fail("{}: there is no such file", path.string());
  Tensors tensors = with_native_names(unwrapped(read_tensor_file(path).tensors));
  const auto rrdb = rrdb_config(tensors);
  const auto compact = rrdb ? std::nullopt : compact_config(tensors);
  if (!rrdb && !compact) {
    fail(
        "{}: this is no upscaler that is known: expected ESRGAN's or Real-ESRGAN's RRDBNet, or the "
        "compact SRVGGNet with PReLU",
        path.string());
  }
  Upscaler upscaler{.network = rrdb ? std::variant<RrdbNet, CompactNet>(RrdbNet(*rrdb))
                                    : std::variant<RrdbNet, CompactNet>(CompactNet(*compact)),
                    .device = device,
                    .dtype = dtype,
                    .name = path.stem().string()};
  std::visit(
      [&](auto& network) {
        network = filled(std::move(network), std::move(tensors), path.string(), upscaler);
      },
      upscaler.network);
  return upscaler;
}

}  // namespace easel
