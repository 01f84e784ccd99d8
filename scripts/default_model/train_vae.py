"""Stage 1: the autoencoder, on pictures painted as they are needed.

    python train_vae.py WORK [--preset cpu128] [--set name=value ...]
    python train_vae.py WORK --decoder STEPS     afterwards: the decoder alone, from WORK/vae.pt to WORK/decoder.pt

Loss: L1, plus L1 of the differences between neighbours (edges), plus the error of the last three latent channels,
which hold the mean colour of their cell, plus a little to keep latents small. Two thirds of the time on quarter
pictures (cheap), the rest on whole ones, which is how it will be used. Resumes from WORK/vae.pt; log in WORK/vae.csv.
"""

import argparse
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import config as settings
import networks
import world


def batch_of_pictures(rng, count, side, crop):
    """Painted pictures in -1..1, (count, 3, crop, crop); crops start at multiples of 8."""
    out = np.empty((count, crop, crop, 3), np.float32)
    for i in range(count):
        picture = world.paint(world.sample_scene(rng), side)
        y, x = (8 * rng.randrange((side - crop) // 8 + 1) for _ in range(2))
        out[i] = picture[y : y + crop, x : x + crop]
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous() / 127.5 - 1


def edge_loss(a, b):
    """L1 between the differences of neighbouring pixels."""
    dx = (a[..., 1:] - a[..., :-1]) - (b[..., 1:] - b[..., :-1])
    dy = (a[..., 1:, :] - a[..., :-1, :]) - (b[..., 1:, :] - b[..., :-1, :])
    return dx.abs().mean() + dy.abs().mean()


def psnr(vae, config, count=48):
    """Mean PSNR in dB over unseen scenes, held-out pairs among them."""
    rng = random.Random(991)
    total = 0.0
    vae.eval()
    with torch.no_grad():
        for _ in range(count):
            scene = world.sample_scene(rng, held_out=None)
            x = torch.from_numpy(world.paint(scene, config.picture)).permute(2, 0, 1)[None].to(config.device) / 127.5 - 1
            y = vae(x).sample.clamp(-1, 1)
            total += float(10 * torch.log10(4 / ((x - y) ** 2).mean().clamp_min(1e-9)))
    vae.train()
    return total / count


def train(config, work):
    """Runs the stage to its end, or goes on where a killed run stopped."""
    torch.manual_seed(config.seed)
    vae = networks.make_vae(config).to(config.device).to(memory_format=torch.channels_last)
    optimiser = networks.Optimiser([{"params": list(vae.parameters())}], config.vae_lr)
    state = {"step": 0, "spent": 0.0}
    saved = networks.load_if_there(f"{work}/vae.pt", config.device)
    if saved:
        vae.load_state_dict(saved["vae"])
        optimiser.load_state_dict(saved["optimiser"])
        state = saved["state"]
    log = open(f"{work}/vae.csv", "a", buffering=1)
    budget = config.vae_minutes * 60
    if state["spent"] >= budget:
        return
    began, last_save = time.time() - state["spent"], time.time()
    while state["spent"] < budget:
        done = state["spent"] / budget
        rng = random.Random(config.seed * 1000003 + state["step"])
        whole = done > 0.66
        crop = config.picture if whole else config.picture // 2
        x = batch_of_pictures(rng, config.vae_batch // 4 if whole else config.vae_batch, config.picture, crop)
        x = x.to(config.device).to(memory_format=torch.channels_last)
        for group in optimiser.param_groups:
            group["lr"] = config.vae_lr * min(1, (state["step"] + 1) / 100) * min(1.0, (1 - done) / 0.4)
        with torch.autocast(config.device, torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            z = posterior.mean.float()
            noisy = z + config.latent_noise * z.detach().std() * torch.randn_like(z)
            y = vae.decode(noisy).sample.float()
        size = z.square().mean()
        loss = (y - x).abs().mean() + 2 * edge_loss(y, x) + F.mse_loss(z[:, -3:], networks.cell_colours(x)) + 1e-3 * (size - 1).clamp_min(0) + 1e-4 * size
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        state["step"] += 1
        state["spent"] = time.time() - began
        if state["step"] % 50 == 0:
            mse = float((y.detach() - x).square().mean())
            print(f"{state['step']},{state['spent']:.0f},{float(loss.detach()):.4f},{10 * np.log10(4 / mse):.2f}", file=log)
        if time.time() - last_save > 60:
            networks.save_atomic({"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "state": state}, f"{work}/vae.pt")
            last_save = time.time()
    networks.save_atomic({"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "state": state}, f"{work}/vae.pt")
    print(f"autoencoder: {state['step']} steps, {psnr(vae, config):.2f} dB on unseen scenes")


def refine(config, work, steps):
    """More training for the decoder with the encoder as it is, so that latents made before stay valid."""
    torch.manual_seed(config.seed + 5)
    vae = networks.make_vae(config).to(config.device)
    vae.load_state_dict(torch.load(f"{work}/vae.pt", map_location=config.device, weights_only=False)["vae"])
    state = {"step": 0}
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimiser = networks.Optimiser([{"params": parameters}], config.vae_lr)
    saved = networks.load_if_there(f"{work}/decoder.pt", config.device)
    if saved:
        vae.load_state_dict(saved["vae"])
        optimiser.load_state_dict(saved["optimiser"])
        state = saved["state"]
    last_save = time.time()
    while state["step"] < steps:
        rng = random.Random(7000003 + state["step"])
        x = batch_of_pictures(rng, config.vae_batch // 4, config.picture, config.picture).to(config.device)
        for group in optimiser.param_groups:
            group["lr"] = 0.7 * config.vae_lr * min(1, (state["step"] + 1) / 50) * min(1.0, 1.02 - state["step"] / steps)
        with torch.autocast(config.device, torch.bfloat16):
            z = networks.latents_of(vae, x)
            y = vae.decode(z + 0.06 * z.std() * torch.randn_like(z)).sample.float()
        loss = (y - x).abs().mean() + 2 * edge_loss(y, x) + 4 * (y - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        state["step"] += 1
        if time.time() - last_save > 60 or state["step"] == steps:
            data = {"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "state": state}
            networks.save_atomic(data, f"{work}/decoder.pt")
            last_save = time.time()
            print(state["step"], round(float(loss.detach()), 4), flush=True)
    print(f"decoder: {psnr(vae, config):.2f} dB on unseen scenes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work")
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--decoder", type=int, default=0)
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    os.makedirs(arguments.work, exist_ok=True)
    torch.set_num_threads(config.threads)
    if arguments.decoder:
        refine(config, arguments.work, arguments.decoder)
    else:
        train(config, arguments.work)


if __name__ == "__main__":
    main()
