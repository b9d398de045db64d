"""Stable Diffusion v1's shape, one row per tensor, at the sizes that are made."""

# One description of each size; every file that is written derives from it.
SIZES = {
    "full": dict(
        unet=dict(channels=320, mult=[1, 2, 4, 4], blocks=2, attention=[4, 2, 1], heads=8, context=768),
        vae=dict(channels=128, mult=[1, 2, 4, 4], blocks=2),
        clip=dict(hidden=768, intermediate=3072, layers=12, heads=12),
        image_size=64,
    ),
    "tiny": dict(
        unet=dict(channels=32, mult=[1, 2, 4, 4], blocks=2, attention=[4, 2, 1], heads=4, context=64),
        vae=dict(channels=32, mult=[1, 2, 4, 4], blocks=2),
        clip=dict(hidden=64, intermediate=256, layers=2, heads=4),
        image_size=16,
    ),
}
VOCABULARY_SIZE, CONTEXT_LENGTH, LATENT_CHANNELS, SCALE_FACTOR = 49408, 77, 4, 0.18215
BETA_START, BETA_END, TIMESTEPS = 0.00085, 0.0120, 1000


class Rows:
    """Collects (part, diffusers' name, CompVis's name, diffusers' shape, CompVis's shape)."""

    def __init__(self):
        self.rows = []

    def add(self, part, native, compvis, shape, compvis_shape=None):
        self.rows.append((part, native, compvis, tuple(shape), tuple(compvis_shape or shape)))

    def layer(self, part, native, compvis, shape, bias=True, compvis_shape=None):
        self.add(part, native + ".weight", compvis + ".weight", shape, compvis_shape)
        if bias:
            self.add(part, native + ".bias", compvis + ".bias", shape[:1])

    def norm(self, part, native, compvis, channels):
        self.layer(part, native, compvis, (channels,))


def unet_rows(rows, unet):
    part, channels, mult = "unet", unet["channels"], unet["mult"]
    time = 4 * channels

    def resnet(native, compvis, inputs, outputs):
        rows.norm(part, native + ".norm1", compvis + ".in_layers.0", inputs)
        rows.layer(part, native + ".conv1", compvis + ".in_layers.2", (outputs, inputs, 3, 3))
        rows.layer(part, native + ".time_emb_proj", compvis + ".emb_layers.1", (outputs, time))
        rows.norm(part, native + ".norm2", compvis + ".out_layers.0", outputs)
        rows.layer(part, native + ".conv2", compvis + ".out_layers.3", (outputs, outputs, 3, 3))
        if inputs != outputs:
            rows.layer(part, native + ".conv_shortcut", compvis + ".skip_connection", (outputs, inputs, 1, 1))

    def transformer(native, compvis, width):
        rows.norm(part, native + ".norm", compvis + ".norm", width)
        rows.layer(part, native + ".proj_in", compvis + ".proj_in", (width, width, 1, 1))
        inner, inner_compvis = native + ".transformer_blocks.0", compvis + ".transformer_blocks.0"
        for name, keys in (("attn1", width), ("attn2", unet["context"])):
            for projection, inputs in (("to_q", width), ("to_k", keys), ("to_v", keys)):
                rows.layer(part, f"{inner}.{name}.{projection}", f"{inner_compvis}.{name}.{projection}",
                           (width, inputs), bias=False)
            rows.layer(part, f"{inner}.{name}.to_out.0", f"{inner_compvis}.{name}.to_out.0", (width, width))
        rows.layer(part, inner + ".ff.net.0.proj", inner_compvis + ".ff.net.0.proj", (8 * width, width))
        rows.layer(part, inner + ".ff.net.2", inner_compvis + ".ff.net.2", (width, 4 * width))
        for name in ("norm1", "norm2", "norm3"):
            rows.norm(part, f"{inner}.{name}", f"{inner_compvis}.{name}", width)
        rows.layer(part, native + ".proj_out", compvis + ".proj_out", (width, width, 1, 1))

    rows.layer(part, "time_embedding.linear_1", "time_embed.0", (time, channels))
    rows.layer(part, "time_embedding.linear_2", "time_embed.2", (time, time))
    rows.layer(part, "conv_in", "input_blocks.0.0", (channels, LATENT_CHANNELS, 3, 3))
    width, skips, block, factor = channels, [channels], 1, 1
    for level, times in enumerate(mult):
        for index in range(unet["blocks"]):
            resnet(f"down_blocks.{level}.resnets.{index}", f"input_blocks.{block}.0", width, channels * times)
            width = channels * times
            if factor in unet["attention"]:
                transformer(f"down_blocks.{level}.attentions.{index}", f"input_blocks.{block}.1", width)
            skips.append(width)
            block += 1
        if level != len(mult) - 1:
            rows.layer(part, f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{block}.0.op",
                       (width, width, 3, 3))
            skips.append(width)
            block, factor = block + 1, 2 * factor
    resnet("mid_block.resnets.0", "middle_block.0", width, width)
    transformer("mid_block.attentions.0", "middle_block.1", width)
    resnet("mid_block.resnets.1", "middle_block.2", width, width)
    block = 0
    for up, times in enumerate(reversed(mult)):
        for index in range(unet["blocks"] + 1):
            resnet(f"up_blocks.{up}.resnets.{index}", f"output_blocks.{block}.0", width + skips.pop(),
                   channels * times)
            width, place = channels * times, 1
            if factor in unet["attention"]:
                transformer(f"up_blocks.{up}.attentions.{index}", f"output_blocks.{block}.{place}", width)
                place += 1
            if up != len(mult) - 1 and index == unet["blocks"]:
                rows.layer(part, f"up_blocks.{up}.upsamplers.0.conv", f"output_blocks.{block}.{place}.conv",
                           (width, width, 3, 3))
                factor //= 2
            block += 1
    rows.norm(part, "conv_norm_out", "out.0", width)
    rows.layer(part, "conv_out", "out.2", (LATENT_CHANNELS, width, 3, 3))


def vae_rows(rows, vae):
    part, channels, mult = "vae", vae["channels"], vae["mult"]
    levels = len(mult)

    def resnet(native, compvis, inputs, outputs):
        rows.norm(part, native + ".norm1", compvis + ".norm1", inputs)
        rows.layer(part, native + ".conv1", compvis + ".conv1", (outputs, inputs, 3, 3))
        rows.norm(part, native + ".norm2", compvis + ".norm2", outputs)
        rows.layer(part, native + ".conv2", compvis + ".conv2", (outputs, outputs, 3, 3))
        if inputs != outputs:
            rows.layer(part, native + ".conv_shortcut", compvis + ".nin_shortcut", (outputs, inputs, 1, 1))

    def middle(side, width):
        resnet(f"{side}.mid_block.resnets.0", f"{side}.mid.block_1", width, width)
        native, compvis = f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1"
        rows.norm(part, native + ".group_norm", compvis + ".norm", width)
        for name, compvis_name in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            rows.layer(part, f"{native}.{name}", f"{compvis}.{compvis_name}", (width, width),
                       compvis_shape=(width, width, 1, 1))
        resnet(f"{side}.mid_block.resnets.1", f"{side}.mid.block_2", width, width)

    rows.layer(part, "encoder.conv_in", "encoder.conv_in", (channels, 3, 3, 3))
    width = channels
    for level, times in enumerate(mult):
        for index in range(vae["blocks"]):
            resnet(f"encoder.down_blocks.{level}.resnets.{index}", f"encoder.down.{level}.block.{index}",
                   width, channels * times)
            width = channels * times
        if level != levels - 1:
            rows.layer(part, f"encoder.down_blocks.{level}.downsamplers.0.conv",
                       f"encoder.down.{level}.downsample.conv", (width, width, 3, 3))
    middle("encoder", width)
    rows.norm(part, "encoder.conv_norm_out", "encoder.norm_out", width)
    rows.layer(part, "encoder.conv_out", "encoder.conv_out", (2 * LATENT_CHANNELS, width, 3, 3))
    rows.layer(part, "quant_conv", "quant_conv", (2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1, 1))
    rows.layer(part, "post_quant_conv", "post_quant_conv", (LATENT_CHANNELS, LATENT_CHANNELS, 1, 1))
    rows.layer(part, "decoder.conv_in", "decoder.conv_in", (width, LATENT_CHANNELS, 3, 3))
    middle("decoder", width)
    for up, times in enumerate(reversed(mult)):
        level = levels - 1 - up
        for index in range(vae["blocks"] + 1):
            resnet(f"decoder.up_blocks.{up}.resnets.{index}", f"decoder.up.{level}.block.{index}", width,
                   channels * times)
            width = channels * times
        if level != 0:
            rows.layer(part, f"decoder.up_blocks.{up}.upsamplers.0.conv", f"decoder.up.{level}.upsample.conv",
                       (width, width, 3, 3))
    rows.norm(part, "decoder.conv_norm_out", "decoder.norm_out", width)
    rows.layer(part, "decoder.conv_out", "decoder.conv_out", (3, width, 3, 3))


def clip_rows(rows, clip):
    part, hidden = "text_encoder", clip["hidden"]

    def same(name, shape):
        rows.layer(part, name, name, shape)

    def table(name, shape):
        rows.layer(part, name, name, shape, bias=False)

    table("text_model.embeddings.token_embedding", (VOCABULARY_SIZE, hidden))
    table("text_model.embeddings.position_embedding", (CONTEXT_LENGTH, hidden))
    for index in range(clip["layers"]):
        layer = f"text_model.encoder.layers.{index}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            same(f"{layer}.self_attn.{name}", (hidden, hidden))
        same(layer + ".layer_norm1", (hidden,))
        same(layer + ".mlp.fc1", (clip["intermediate"], hidden))
        same(layer + ".mlp.fc2", (hidden, clip["intermediate"]))
        same(layer + ".layer_norm2", (hidden,))
    same("text_model.final_layer_norm", (hidden,))


def architecture(size):
    rows = Rows()
    unet_rows(rows, SIZES[size]["unet"])
    vae_rows(rows, SIZES[size]["vae"])
    clip_rows(rows, SIZES[size]["clip"])
    return rows.rows
