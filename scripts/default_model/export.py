"""Writes the trained networks as a Stable Diffusion folder, halves in safetensors.

    python export.py WORK FOLDER [--preset cpu128] [--set name=value ...]

WORK is the folder that train.py filled. The running mean of the weights is what is written. FOLDER appears at once
(written beside, then moved), so a reader never sees half of it.
"""

import argparse
import json
import os
import shutil

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

import config as settings
import networks
import vocabulary


def build(config, work):
    """The pipeline with the trained weights, in float32."""
    tokenizer = CLIPTokenizer.from_pretrained(f"{work}/tokenizer")
    state = torch.load(f"{work}/unet.pt", map_location="cpu", weights_only=False)
    mean = torch.nn.ModuleDict(
        {
            "unet": networks.make_unet(config),
            "text": networks.make_text(config, len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id),
        }
    )
    mean.load_state_dict(state["mean"])
    vae = networks.make_vae(config)
    tuned = f"{work}/decoder.pt" if os.path.exists(f"{work}/decoder.pt") else f"{work}/vae.pt"
    vae.load_state_dict(torch.load(tuned, map_location="cpu", weights_only=False)["vae"])
    vae.register_to_config(scaling_factor=round(state["scale"], 5))
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=mean["text"].eval(),
        tokenizer=tokenizer,
        unet=mean["unet"].eval(),
        scheduler=networks.make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _name_as_usual(path):
    """Stable Diffusion folders name the text encoder's weights `text_model.…`; new transformers leave that out."""
    weights = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def write(config, work, folder):
    """Saves the folder; gives its size in bytes."""
    fresh = folder.rstrip("/") + ".part"
    shutil.rmtree(fresh, ignore_errors=True)
    build(config, work).to(torch.float16).save_pretrained(fresh)
    shutil.rmtree(f"{fresh}/tokenizer")
    vocabulary.write(f"{fresh}/tokenizer", config.text_length)
    _name_as_usual(f"{fresh}/text_encoder/model.safetensors")
    for part in ("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"):
        with open(f"{fresh}/{part}", encoding="utf-8") as file:
            data = {k: v for k, v in json.load(file).items() if k != "_name_or_path"}
        with open(f"{fresh}/{part}", "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2)
            file.write("\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(folder) for f in files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work")
    parser.add_argument("folder")
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    print(f"{write(config, arguments.work, arguments.folder) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
