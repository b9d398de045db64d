// The cases of a file that scripts/fixtures/models.py or clip.py wrote: configs, inputs and
// outputs.
#pragma once

#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <easel/io/tensor_file.h>
#include <easel/models/autoencoder.h>
#include <easel/models/clip.h>
#include <easel/models/clip_text.h>
#include <easel/models/unet.h>

namespace easel::test {

class ModelCases {
 public:
  // `name`: a file of tests/data/models without its ending.
  explicit ModelCases(const std::string& name)
      : file_(read_safetensors(std::string(EASEL_TEST_DATA) + "/models/" + name + ".safetensors")) {
    std::istringstream lines(file_.metadata.at("cases"));
    for (std::string line; std::getline(lines, line);) {
      const size_t dot = line.find('.');
      const size_t equals = line.find('=');
      fields_[line.substr(0, dot)][line.substr(dot + 1, equals - dot - 1)] =
          line.substr(equals + 1);
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, fields] : fields_) names.push_back(name);
    return names;
  }

  const Tensor& tensor(const std::string& name, const std::string& key) const {
    return file_.tensors.at(name + "/" + key);
  }
  // Undefined where the case has none.
  Tensor find(const std::string& name, const std::string& key) const {
    const auto found = file_.tensors.find(name + "/" + key);
    return found == file_.tensors.end() ? Tensor() : found->second;
  }

  UNetConfig unet(const std::string& name) const {
    UNetConfig c;
    Reader read{fields_.at(name)};
    read.number("in_channels", c.in_channels);
    read.number("model_channels", c.model_channels);
    read.number("out_channels", c.out_channels);
    read.list("num_res_blocks", c.num_res_blocks);
    read.list("attention_resolutions", c.attention_resolutions);
    read.list("channel_mult", c.channel_mult);
    if (c.num_res_blocks.size() == 1) {
      c.num_res_blocks.assign(c.channel_mult.size(), c.num_res_blocks[0]);
    }
    read.flag("conv_resample", c.conv_resample);
    read.number("num_heads", c.num_heads);
    read.number("num_head_channels", c.num_head_channels);
    read.number("num_heads_upsample", c.num_heads_upsample);
    read.flag("use_scale_shift_norm", c.use_scale_shift_norm);
    read.flag("resblock_updown", c.resblock_updown);
    read.flag("use_new_attention_order", c.use_new_attention_order);
    read.flag("use_spatial_transformer", c.use_spatial_transformer);
    read.number("transformer_depth", c.transformer_depth);
    read.number("context_dim", c.context_dim);
    read.flag("use_linear_in_transformer", c.use_linear_in_transformer);
    read.flag("legacy", c.legacy);
    read.number("num_classes", c.num_classes);
    read.number("norm_num_groups", c.norm_num_groups);
    read.done();
    return c;
  }

  AutoencoderConfig autoencoder(const std::string& name) const {
    AutoencoderConfig c;
    Reader read{fields_.at(name)};
    read.number("embed_dim", c.embed_dim);
    read.flag("double_z", c.double_z);
    read.number("z_channels", c.z_channels);
    read.number("resolution", c.resolution);
    read.number("in_channels", c.in_channels);
    read.number("out_ch", c.out_ch);
    read.number("ch", c.ch);
    read.list("ch_mult", c.ch_mult);
    read.number("num_res_blocks", c.num_res_blocks);
    read.list("attn_resolutions", c.attn_resolutions);
    read.number("norm_num_groups", c.norm_num_groups);
    read.done();
    return c;
  }

  ClipTextConfig clip_text(const std::string& name) const {
    Reader read{fields_.at(name)};
    const ClipTextConfig config = clip_text(read, "");
    read.done();
    return config;
  }

  ClipConfig clip(const std::string& name) const {
    ClipConfig c;
    Reader read{fields_.at(name)};
    c.text = clip_text(read, "text_");
    read.number("vision_num_channels", c.vision.num_channels);
    read.number("vision_image_size", c.vision.image_size);
    read.number("vision_patch_size", c.vision.patch_size);
    transformer(read, "vision_", c.vision);
    read.number("projection_dim", c.projection_dim);
    read.number("eos_token_id", c.eos_token_id);
    read.done();
    return c;
  }

 private:
  // Takes fields out of a copy; a field that is left over is a mistake.
  struct Reader {
    std::map<std::string, std::string> fields;

    std::optional<std::string> take(const std::string& key) {
      const auto node = fields.extract(key);
      return node ? std::optional(node.mapped()) : std::nullopt;
    }
    template <class Number>
    void number(const std::string& key, Number& value) {
      if (const auto text = take(key)) value = static_cast<int64_t>(std::stoll(*text));
    }
    void flag(const std::string& key, bool& value) {
      if (const auto text = take(key)) value = *text == "true";
    }
    void list(const std::string& key, std::vector<int64_t>& values) {
      const auto text = take(key);
      if (!text) return;
      values.clear();
      std::istringstream items(*text);
      for (std::string item; std::getline(items, item, ',');) values.push_back(std::stoll(item));
    }
    void done() const {
      if (!fields.empty()) throw std::runtime_error("unread field " + fields.begin()->first);
    }
  };

  // The fields that the configs of CLIP's towers share.
  template <class Config>
  static void transformer(Reader& read, const std::string& prefix, Config& c) {
    read.number(prefix + "hidden_size", c.hidden_size);
    read.number(prefix + "intermediate_size", c.intermediate_size);
    read.number(prefix + "num_hidden_layers", c.num_hidden_layers);
    read.number(prefix + "num_attention_heads", c.num_attention_heads);
    c.hidden_act = read.take(prefix + "hidden_act").value();
    c.layer_norm_eps = std::stod(read.take(prefix + "layer_norm_eps").value());
  }

  static ClipTextConfig clip_text(Reader& read, const std::string& prefix) {
    ClipTextConfig c;
    read.number(prefix + "vocab_size", c.vocab_size);
    read.number(prefix + "max_position_embeddings", c.max_position_embeddings);
    transformer(read, prefix, c);
    return c;
  }

  TensorFile file_;
  std::map<std::string, std::map<std::string, std::string>> fields_;
};

}  // namespace easel::test
