#!/usr/bin/env python3
"""Write a random-weight folder of the shape of Stable Diffusion 2.1 (768x768, v-prediction), for comparisons and timing.

  make_random_sd21.py OUTDIR [--dtype F16] [--size tiny] [--seed 0] [--clip-merges FILE]

The names, shapes and configurations are those of the real model in the diffusers layout: linear projections,
attention_head_dim [5, 10, 20, 20], upcast_attention, 23 CLIP layers of width 1024 with gelu, the padding token "!".
Numbers, sizes and options are as in make_random_sd15_ldm.py, which this script uses. Needs nothing but Python.
"""
import argparse
import json
import os

import make_random_sd15_ldm as base
import random_sd_folder
import sd15_tensors as sd15


class Config(sd15.Config):
    def __init__(self, size):
        super().__init__(size)
        if size == "full":
            self.ctx, self.layers, self.heads = 1024, 23, 16
        else:
            self.ctx, self.layers, self.heads = 128, 3, 2


def linear_projection(name, shape):
    """The 1x1 convolutions around a transformer are linear layers here."""
    is_projection = name.endswith((".proj_in.weight", ".proj_out.weight"))
    return shape[:2] if is_projection else shape


def parts(cfg):
    unet, renamed = sd15.unet(cfg)
    vae = [sd15.vae_to_diffusers(n, s) + (n, k, f) for n, s, k, f in sd15.vae(cfg)]
    return {
        "unet/diffusion_pytorch_model.safetensors":
            [(sd15.unet_to_diffusers(n, renamed), linear_projection(n, s), n, k, f) for n, s, k, f in unet],
        "vae/diffusion_pytorch_model.safetensors": vae,
        "text_encoder/model.safetensors":
            [(n[len("cond_stage_model.transformer."):], s, n, k, f) for n, s, k, f in sd15.clip(cfg)],
    }


def update_json(folder, name, changes):
    """Puts the changes into a file; None takes a key out."""
    path = os.path.join(folder, name)
    with open(path, encoding="utf-8") as f:
        value = {k: v for k, v in {**json.load(f), **changes}.items() if k not in changes or changes[k] is not None}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def write_configs(folder, cfg, size):
    random_sd_folder.write_configs(folder, cfg)
    heads = [5, 10, 20, 20] if size == "full" else [1, 2, 4, 4]
    update_json(folder, "model_index.json", {"scheduler": ["diffusers", "DDIMScheduler"]})
    update_json(folder, "unet/config.json", {
        "attention_head_dim": heads, "use_linear_projection": True, "upcast_attention": True, "sample_size": 96,
        "dual_cross_attention": False, "only_cross_attention": False})
    update_json(folder, "vae/config.json", {"sample_size": 768})
    update_json(folder, "text_encoder/config.json", {"hidden_act": "gelu", "projection_dim": 512})
    update_json(folder, "scheduler/scheduler_config.json", {
        "_class_name": "DDIMScheduler", "prediction_type": "v_prediction", "skip_prk_steps": None})


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("out")
    ap.add_argument("--dtype", choices=("F16", "BF16", "F32"), default="F16")
    ap.add_argument("--size", choices=("full", "tiny"), default="full")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--clip-merges", metavar="FILE")
    a = ap.parse_args()
    cfg, pools = Config(a.size), base.Pools(a.seed, a.dtype)
    for name, tensors in parts(cfg).items():
        path = os.path.join(a.out, name)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        size = base.write_safetensors(path, tensors, pools)
        print(f"{path}: {len(tensors)} tensors, {size} data bytes")
    write_configs(a.out, cfg, a.size)
    random_sd_folder.write_tokenizer(os.path.join(a.out, "tokenizer"), a.clip_merges)
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        update_json(a.out, "tokenizer/" + name, {"pad_token": "!"})


if __name__ == "__main__":
    main()
