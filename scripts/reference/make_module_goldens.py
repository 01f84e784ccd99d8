#!/usr/bin/env python3
"""Makes the golden inputs and outputs of the networks of the tiny models, computed by diffusers and transformers in f32.

    make_module_goldens.py MODELS_FOLDER OUTPUT_FOLDER      (the tests' copies: tests/data/models tests/data/goldens)

Writes OUTPUT_FOLDER/modules_<model>.safetensors. Keys:
  text.input_ids [n, 77] I32; text.clip_skip_<k> [n, 77, hidden], k as diffusers counts it, final layer norm applied
  unet.<case>.{sample [2, 4, h, w], timestep [2], encoder_hidden_states [2, t, c], noise_pred [2, 4, h, w]}, and
    unet.<case>.timestep_cond [2, time_cond_proj_dim] where the UNet takes one
  vae.<case>.{latents [n, 4, h, w], image [n, 3, f h, f w]}; the latents are already divided by scaling_factor
  <network>.<case>.inside.<module>: what this module gave in that run, first case only, for the hunt after a mistake
Layout NCHW, as diffusers has it. Seen with torch 2.15.0, diffusers 0.42.1, transformers 5.23.0.
"""
import pathlib
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

PROMPTS = ["a cat sitting on a window, warm colours", "", "zebra 42 & " * 40]
# Case name: height, width of the latents, number of tokens, the two timesteps.
UNET_CASES = {"square": (8, 8, 77, (981.0, 1.0)), "odd": (5, 7, 9, (500.0, 499.0)), "small": (3, 1, 1, (0.0, 999.0))}
VAE_CASES = {"square": (8, 8), "odd": (3, 5)}


class Watch:
    """Keeps the outputs of named modules during one forward."""

    def __init__(self, network, names):
        self.seen, self.hooks = {}, []
        for name, module in network.named_modules():
            if name in names:
                self.hooks.append(module.register_forward_hook(self.keep(name)))

    def keep(self, name):
        def hook(_module, _inputs, output):
            self.seen[name] = (output[0] if isinstance(output, tuple) else output).clone()
        return hook

    def finish(self):
        for hook in self.hooks:
            hook.remove()
        return self.seen


def text_goldens(folder, out):
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    network = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
    ids = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
    result = network(ids, output_hidden_states=True)
    inner = getattr(network, "text_model", network)
    out["text.input_ids"] = ids.to(torch.int32)
    out["text.clip_skip_0"] = result.last_hidden_state
    for skip in (1, 2):
        out[f"text.clip_skip_{skip}"] = inner.final_layer_norm(result.hidden_states[-(skip + 1)])


def unet_goldens(folder, out, generator):
    network = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval()
    blocks = len(network.config.block_out_channels)
    names = ["conv_in", "time_embedding", "mid_block"] + [f"{k}_blocks.{i}" for k in ("down", "up") for i in range(blocks)]
    for number, (case, (height, width, tokens, timesteps)) in enumerate(UNET_CASES.items()):
        key = f"unet.{case}."
        out[key + "sample"] = torch.randn(2, 4, height, width, generator=generator)
        out[key + "timestep"] = torch.tensor(timesteps)
        out[key + "encoder_hidden_states"] = torch.randn(2, tokens, network.config.cross_attention_dim, generator=generator)
        cond = None
        if network.config.time_cond_proj_dim:
            cond = torch.randn(2, network.config.time_cond_proj_dim, generator=generator)
            out[key + "timestep_cond"] = cond
        watch = Watch(network, names if number == 0 else [])
        out[key + "noise_pred"] = network(out[key + "sample"], out[key + "timestep"], out[key + "encoder_hidden_states"],
                                          timestep_cond=cond).sample
        out.update({f"{key}inside.{name}": value for name, value in watch.finish().items()})


def vae_goldens(folder, out, generator):
    network = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
    blocks = len(network.config.block_out_channels)
    names = ["post_quant_conv", "decoder.conv_in", "decoder.mid_block"] + [f"decoder.up_blocks.{i}" for i in range(blocks)]
    for number, (case, (height, width)) in enumerate(VAE_CASES.items()):
        key = f"vae.{case}."
        scale = 1 / network.config.scaling_factor
        out[key + "latents"] = scale * torch.randn(2, 4, height, width, generator=generator)
        watch = Watch(network, names if number == 0 else [])
        out[key + "image"] = network.decode(out[key + "latents"]).sample
        out.update({f"{key}inside.{name}": value for name, value in watch.finish().items()})


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    models, target = map(pathlib.Path, sys.argv[1:])
    torch.set_num_threads(1)
    target.mkdir(parents=True, exist_ok=True)
    for folder in sorted(p for p in models.iterdir() if (p / "model_index.json").exists()):
        out, generator = {}, torch.Generator().manual_seed(2024)
        with torch.no_grad():
            text_goldens(folder, out)
            unet_goldens(folder, out, generator)
            vae_goldens(folder, out, generator)
        path = target / f"modules_{folder.name}.safetensors"
        save_file({k: v.contiguous() for k, v in out.items()}, path)
        print(f"{path.name}: {len(out)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
