"""Turns a WORK folder trained with eight latent channels into one with the three colour channels as well.

    python widen.py start OLD NEW [--preset cpu128] [--set name=value ...]
        autoencoder, UNet and text encoder with zeros or small numbers where they grow; the pool's latents, its pictures
        painted once more; then train_vae.py NEW --decoder STEPS and train_unet.py NEW go on.
    python widen.py encoder NEW STEPS
        afterwards: the encoder learns to give what the others were trained on, in NEW/decoder.pt.

The weights that ship came this way: an autoencoder trained without the colour loss gave blue and turquoise one latent.
A training from the start (train.py) has no need of it.
"""

import argparse
import os
import random
import shutil

import numpy as np
import torch
import torch.nn.functional as F

import captions
import config as settings
import networks
import train_unet
import train_vae
import world


def _block(small, shape, halves):
    """Zeros of `shape` with `small` in front; `halves`: which dimensions hold means, then log variances."""
    out = torch.zeros(shape)
    if not halves:
        out[tuple(slice(n) for n in small.shape)] = small
        return out
    old, new = small.shape[0] // 2, shape[0] // 2
    for i in range(2):
        rows, part = slice(i * new, i * new + old), small[i * old : (i + 1) * old]
        if halves == 1:
            out[rows] = part
        else:
            out[rows, :old], out[rows, new : new + old] = part[:, :old], part[:, old:]
    return out


def widened_vae(config, old):
    """State of the grown autoencoder."""
    state = networks.make_vae(config).state_dict()
    halves = {"encoder.conv_out.weight": 1, "encoder.conv_out.bias": 1, "quant_conv.weight": 2, "quant_conv.bias": 1}
    for key, value in state.items():
        state[key] = _block(old[key], value.shape, halves.get(key, 0))
    first, last = config.latent_channels - 3, config.latent_channels
    for i in range(first, last):
        state["quant_conv.weight"][i, i] = state["post_quant_conv.weight"][i, i] = 1
    state["encoder.conv_out.weight"][first:last].normal_(std=0.05)
    state["decoder.conv_in.weight"][:, first:].normal_(std=0.05)
    return state


def widened_unet(config, old):
    """State of the grown UNet (keys `unet.…`) and of the text encoder, from the old running mean."""
    fresh = {f"unet.{k}": v for k, v in networks.make_unet(config).state_dict().items()}
    state = {k: _block(v, fresh[k].shape, 0) if k in fresh else v for k, v in old.items()}
    state["unet.conv_in.weight"][:, -3:] = fresh["unet.conv_in.weight"][:, -3:]
    return state


def widened_pool(config, old):
    """The pool with the mean colours of its pictures, painted again from the same seed."""
    rng, colours = random.Random(config.seed + 1), []
    for _ in range(0, len(old["latents"]), 32):
        scenes = [world.sample_scene(rng) for _ in range(32)]
        x = torch.from_numpy(np.stack([world.paint(s, config.picture) for s in scenes])).permute(0, 3, 1, 2)
        colours.append(networks.cell_colours(x.float() / 127.5 - 1).numpy().astype(np.float16))
        for scene in scenes:  # the wordings drew from the same numbers
            for _ in range(train_unet.WORDINGS):
                captions.caption(scene, rng)
    return {**old, "latents": np.concatenate([old["latents"], np.concatenate(colours)], 1)}


def start(config, old, new):
    """Fills the new folder."""
    torch.manual_seed(config.seed + 11)
    os.makedirs(new, exist_ok=True)
    shutil.copytree(f"{old}/tokenizer", f"{new}/tokenizer", dirs_exist_ok=True)
    shutil.copy(f"{old}/text.pt", f"{new}/text.pt")
    vae = torch.load(f"{old}/decoder.pt", weights_only=False)["vae"]
    networks.save_atomic({"vae": widened_vae(config, vae)}, f"{new}/vae.pt")
    pool = widened_pool(config, dict(np.load(f"{old}/pool.npz")))
    np.savez(f"{new}/pool.npz", **pool)
    trainer = train_unet.Trainer(config, new, float(pool["scale"]))
    saved = torch.load(f"{old}/unet.pt", weights_only=False)
    state = widened_unet(config, saved["mean"])
    trainer.networks.load_state_dict(state)
    trainer.mean.load_state_dict(state)
    trainer.head.load_state_dict(saved["head"])
    trainer.state["samples"] = saved["state"]["samples"]
    trainer.save()


def encoder(config, work, steps):
    """Trains the encoder towards the latents that decoder and UNet know."""
    torch.manual_seed(config.seed + 12)
    teacher, vae = networks.make_vae(config).eval(), networks.make_vae(config)
    teacher.load_state_dict(torch.load(f"{work}/vae.pt", weights_only=False)["vae"])
    saved = torch.load(f"{work}/decoder.pt", weights_only=False)
    vae.load_state_dict(saved["vae"])
    parameters = [*vae.encoder.parameters(), *vae.quant_conv.parameters()]
    optimiser = networks.Optimiser([{"params": parameters}], config.vae_lr)
    for step in range(steps):
        x = train_vae.batch_of_pictures(random.Random(9000011 + step), 4, config.picture, config.picture)
        for group in optimiser.param_groups:
            group["lr"] = config.vae_lr * min(1, (step + 1) / 20) * (1 - step / steps)
        with torch.autocast("cpu", torch.bfloat16):
            z = vae.encode(x).latent_dist.mean
        loss = F.mse_loss(z.float(), networks.latents_of(teacher, x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            print(step + 1, round(float(loss.detach()), 5), flush=True)
    networks.save_atomic({**saved, "vae": vae.state_dict()}, f"{work}/decoder.pt")
    print(f"autoencoder: {train_vae.psnr(vae, config):.2f} dB on unseen scenes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("start", "encoder"))
    parser.add_argument("paths", nargs=2, metavar=("FOLDER", "NEW_OR_STEPS"))
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    torch.set_num_threads(config.threads)
    if arguments.what == "start":
        start(config, *arguments.paths)
    else:
        encoder(config, arguments.paths[0], int(arguments.paths[1]))


if __name__ == "__main__":
    main()
