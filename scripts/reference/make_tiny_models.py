#!/usr/bin/env python3
"""Makes the tiny random models of the tests, in the diffusers folder layout.

    make_tiny_models.py OUTPUT_FOLDER      (the tests' copy: tests/data/models)

tiny_sd1  as old programs saved SD 1.x: f32, CLIP keys with the text_model. prefix and I64 position_ids, vocab.json and
          merges.txt, a safety checker and a feature extractor that hold nothing.
tiny_sd2  as SD 2.x: f16, UNet in two shards, old attention names in the VAE, text encoder and tokenizer as
          transformers 5 saves them.
tiny_lcm  a UNet that takes the guidance scale as an embedding; scheduler configuration of the old kind.

Needs torch, diffusers, transformers. Seen with torch 2.15.0, diffusers 0.42.1, transformers 5.23.0.
"""
import json
import pathlib
import shutil
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import tiny_tokenizer
import tiny_weights
from tiny_configs import MODELS

OLD_VAE_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def build(spec):
    """The three networks of one model, filled, and the error of the UNet's fit."""
    generator = torch.Generator().manual_seed(spec["seed"])
    vocab, _ = tiny_tokenizer.vocabulary()
    spec["text_encoder"]["vocab_size"] = len(vocab)
    text = CLIPTextModel(CLIPTextConfig(**spec["text_encoder"])).eval()
    unet = UNet2DConditionModel.from_config(spec["unet"]).eval()
    vae = AutoencoderKL.from_config(spec["vae"]).eval()
    tiny_weights.fill(text, generator, tiny_weights.TEXT_GAINS)
    tiny_weights.fill(unet, generator, tiny_weights.UNET_GAINS)
    tiny_weights.fill(vae, generator, tiny_weights.VAE_GAINS)
    ids = torch.randint(0, len(vocab), (24, 77), generator=generator)
    with torch.no_grad():
        contexts = text(ids).last_hidden_state
    v_prediction = spec["scheduler"].get("prediction_type") == "v_prediction"
    error = tiny_weights.fit_unet_output(unet, contexts, v_prediction, generator)
    size = spec["unet"]["sample_size"]
    fields = tiny_weights.smooth_fields(4, size, generator) + 0.3 * torch.randn(4, 4, size, size, generator=generator)
    tiny_weights.fit_vae_output(vae, fields / spec["vae"]["scaling_factor"])
    dtype = getattr(torch, spec["dtype"])
    for network in (text, unet, vae):
        torch.nn.Module.to(network, dtype)
    return text, unet, vae, error


def save_tensors(tensors, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"format": "pt"})


def save_shards(tensors, folder, stem, count):
    """Shards of about equal size in key order, and the index that names them."""
    total = sum(v.nbytes for v in tensors.values())
    shards, done = [{} for _ in range(count)], 0
    for key, value in sorted(tensors.items()):
        shards[min(count - 1, done * count // total)][key] = value
        done += value.nbytes
    where = {}
    for i, shard in enumerate(shards):
        name = f"{stem}-{i + 1:05d}-of-{count:05d}.safetensors"
        save_tensors(shard, folder / name)
        where.update({key: name for key in shard})
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def old_vae_names(tensors):
    out = {}
    for key, value in tensors.items():
        if ".attentions." in key:
            for new, old in OLD_VAE_NAMES.items():
                key = key.replace(f".{new}.", f".{old}.")
        out[key] = value
    return out


def save_text_encoder(text, config, folder, old):
    if not old:
        text.save_pretrained(folder)
        return
    write_json(folder / "config.json", config)
    tensors = {key if key.startswith("text_model.") else "text_model." + key: v for key, v in text.state_dict().items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(77).unsqueeze(0)
    save_tensors(tensors, folder / "model.safetensors")


def save_model(folder, spec, sd2, stubs):
    text, unet, vae, error = build(spec)
    shutil.rmtree(folder, ignore_errors=True)
    index = {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.20.0",
        "scheduler": ["diffusers", spec["scheduler"]["_class_name"]], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"], "feature_extractor": [None, None], "safety_checker": [None, None],
    }
    if stubs:
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
        write_json(folder / "feature_extractor" / "preprocessor_config.json", {"feature_extractor_type": "CLIPFeatureExtractor"})
        write_json(folder / "safety_checker" / "config.json", {"architectures": ["StableDiffusionSafetyChecker"]})
    write_json(folder / "model_index.json", index)
    write_json(folder / "scheduler" / "scheduler_config.json", spec["scheduler"])
    write_json(folder / "unet" / "config.json", spec["unet"])
    write_json(folder / "vae" / "config.json", spec["vae"])
    if sd2:
        save_shards(unet.state_dict(), folder / "unet", "diffusion_pytorch_model", 2)
        save_tensors(old_vae_names(vae.state_dict()), folder / "vae" / "diffusion_pytorch_model.safetensors")
    else:
        save_tensors(unet.state_dict(), folder / "unet" / "diffusion_pytorch_model.safetensors")
        save_tensors(vae.state_dict(), folder / "vae" / "diffusion_pytorch_model.safetensors")
    save_text_encoder(text, spec["text_encoder"], folder / "text_encoder", old=not sd2)
    tiny_tokenizer.write_two_files(folder / "tokenizer", spec["pad"])
    if sd2:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        shutil.rmtree(folder / "tokenizer")
        tokenizer.save_pretrained(folder / "tokenizer")
    count = sum(p.numel() for m in (text, unet, vae) for p in m.parameters())
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder.name}: {count} parameters, {size} bytes, error of the UNet's fit {error:.3f}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for name, spec in MODELS.items():
        save_model(pathlib.Path(sys.argv[1]) / name, spec, sd2=name == "tiny_sd2", stubs=name == "tiny_sd1")


if __name__ == "__main__":
    main()
