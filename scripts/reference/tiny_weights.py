"""Random weights that keep every activation in a useful range, so that a small mistake anywhere shows in the picture.

Norm scales lie in 0.5..0.85 or 1.15..1.5 and every bias in +-(0.05..0.25): none is near the value that a mistake would
put in its place. The streams that enter the group norms are kept small, so that their eps counts. The UNet's last
convolution is fitted to noised smooth fields, because a denoising loop over a network that ignores the noise blows up.
"""
import math

import torch
import torch.nn.functional as F


def away(shape, low, high, generator, centre=0.0):
    """Numbers at a distance of low..high from centre, on either side."""
    size = low + (high - low) * torch.rand(shape, generator=generator)
    return centre + size * torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0)


def fill(model, generator, gains):
    """Fills the model in place. gains: list of (part of the key, gain), the first that matches counts; default 1."""
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            is_norm = "norm" in key.rsplit(".", 2)[-2]
            if key.endswith("weight") and is_norm:
                value.copy_(away(value.shape, 0.15, 0.5, generator, 1.0))
            elif key.endswith("bias"):
                value.copy_(away(value.shape, 0.05, 0.25, generator))
            else:
                gain = next((g for part, g in gains if part in key), 1.0)
                fan_in = 1 if "embedding.weight" in key else math.prod(value.shape[1:])
                value.copy_(gain / math.sqrt(fan_in) * torch.randn(value.shape, generator=generator))
            if "conv_in.bias" in key:
                value.mul_(0.2)


UNET_GAINS = [
    ("time_emb_proj", 0.5), ("time_embedding", 1.5), ("conv_in", 0.25), ("conv2", 0.3), ("conv_shortcut", 0.7),
    ("attn2.to_out", 2.0), ("attn1.to_out", 0.6), ("ff.net.2", 0.6), ("proj_out", 0.3), ("to_q", 1.5), ("to_k", 1.5),
    ("cond_proj", 2.0),
]
VAE_GAINS = [("conv_in", 0.02), ("conv2", 0.15), ("to_out", 0.6), ("to_q", 1.5), ("to_k", 1.5), ("conv_out", 1.0)]
TEXT_GAINS = [("token_embedding", 0.3), ("position_embedding", 0.1), ("out_proj", 0.5), ("fc2", 0.5), ("q_proj", 1.5),
              ("k_proj", 1.5)]


def smooth_fields(count, size, generator):
    """[count, 4, size, size], unit deviation: the stand-in for latents of pictures."""
    coarse = torch.randn(count, 4, 3, 3, generator=generator)
    fields = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    return fields / fields.std()


def fit_unet_output(unet, contexts, v_prediction, generator):
    """Least squares fit of conv_out to the noise (or v) of noised fields, plus a little of its random start."""
    size, rows, targets = unet.config.sample_size, [], []
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()
    captured = {}
    hook = unet.conv_out.register_forward_pre_hook(lambda _, args: captured.update(x=args[0]))
    with torch.no_grad():
        for _ in range(40):
            n = len(contexts)
            t = torch.randint(0, 1000, (n,), generator=generator)
            a = alphas[t].sqrt()[:, None, None, None]
            s = (1 - alphas[t]).sqrt()[:, None, None, None]
            x0, noise = smooth_fields(n, size, generator), torch.randn(n, 4, size, size, generator=generator)
            guidance = torch.randn(n, unet.config.time_cond_proj_dim, generator=generator) \
                if unet.config.time_cond_proj_dim else None
            unet(a * x0 + s * noise, t, contexts, timestep_cond=guidance)
            patches = F.unfold(captured["x"], 3, padding=1).transpose(1, 2).flatten(0, 1)
            rows.append(torch.cat([patches, torch.ones(len(patches), 1)], 1))
            wanted = a * noise - s * x0 if v_prediction else noise
            targets.append(wanted.flatten(2).transpose(1, 2).flatten(0, 1))
        hook.remove()
        x, y = torch.cat(rows).double(), torch.cat(targets).double()
        ridge = 1e-3 * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(x.T @ x + ridge, x.T @ y).float()
        error = (x.float() @ solution - y.float()).std().item()
        unet.conv_out.weight.mul_(0.15).add_(solution[:-1].T.reshape(unet.conv_out.weight.shape))
        unet.conv_out.bias.mul_(0.5).add_(solution[-1])
    return error


def fit_vae_output(vae, latents):
    """Scales conv_out so that pictures fill most of -1..1 and few values are cut off."""
    with torch.no_grad():
        picture = vae.decode(latents).sample
        vae.decoder.conv_out.weight.mul_(0.38 / picture.std())
        picture = vae.decode(latents).sample
        vae.decoder.conv_out.bias.sub_(0.8 * picture.mean((0, 2, 3)))
