"""The three networks in the Stable Diffusion layout, the optimiser, and atomic checkpoints."""

import os

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel


def make_vae(config):
    """The autoencoder, 8x reduction."""
    levels = len(config.vae_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.vae_channels,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=config.vae_groups,
        sample_size=config.picture,
    )


def cell_colours(x):
    """The mean colour of each 8x8 cell of pictures in -1..1, (n, 3, h/8, w/8), with the spread of the other latents.

    The last three latent channels. Left to itself a small autoencoder keeps one number for warm or cold and one for
    light or dark: blue and turquoise, red and brown then have the same latents, and no UNet can tell them apart.
    """
    return 2.2 * (F.avg_pool2d(x, 8) - 0.45)


@torch.no_grad()
def latents_of(vae, x):
    """Latents (unscaled) of pictures in -1..1: the encoder's, with the colour channels as they should be."""
    z = vae.encode(x).latent_dist.mean.float()
    return torch.cat([z[:, :-3], cell_colours(x.float())], 1)


def make_text(config, vocabulary, bos, eos):
    """The CLIP text encoder."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=config.text_width,
            intermediate_size=4 * config.text_width,
            projection_dim=config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads,
            max_position_embeddings=config.text_length,
            hidden_act="quick_gelu",
            bos_token_id=bos,
            eos_token_id=eos,
            pad_token_id=eos,
        )
    )


def make_unet(config):
    """The UNet: cross-attention on the middle levels and in the middle block, convolutions alone at both ends."""
    cross = [bool(int(flag)) for flag in config.unet_cross]
    return UNet2DConditionModel(
        sample_size=config.picture // 8,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross),
        up_block_types=tuple("CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)),
        block_out_channels=config.unet_channels,
        layers_per_block=config.unet_layers,
        norm_num_groups=config.unet_groups,
        cross_attention_dim=config.text_width,
        attention_head_dim=config.unet_heads,
        use_linear_projection=True,
    )


def make_scheduler():
    """v-prediction down to zero signal, sampled with trailing steps."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
    )


class Optimiser(torch.optim.Optimizer):
    """Orthogonalised momentum (Muon) for matrices and convolution kernels, Adam for everything else.

    Both take steps of about the learning rate per weight, so one rate serves both: an orthogonal update of an m x n
    matrix is scaled by 0.2 sqrt(max(m, n)). Source: Jordan et al. 2024, "Muon"; the scale from Liu et al. 2025.
    """

    def __init__(self, groups, lr, plain=()):
        plain = {id(p) for p in plain}
        flat = []
        for group in groups:
            matrices = [p for p in group["params"] if p.ndim >= 2 and id(p) not in plain and min(p.shape[:2]) > 8]
            chosen = {id(p) for p in matrices}
            rest = [p for p in group["params"] if id(p) not in chosen]
            flat.append({"params": matrices, "muon": True, "scale": group.get("scale", 1.0)})
            flat.append({"params": rest, "muon": False, "scale": group.get("scale", 1.0)})
        super().__init__(flat, {"lr": lr})

    @torch.no_grad()
    def step(self):
        """One update from the gradients."""
        for group in self.param_groups:
            rate = group["lr"] * group["scale"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                    state["step"] = 0
                    if not group["muon"]:
                        state["v"] = torch.zeros_like(p)
                state["step"] += 1
                if group["muon"]:
                    state["m"].mul_(0.95).add_(p.grad)
                    update = orthogonalised(p.grad.add(state["m"], alpha=0.95).flatten(1)).view_as(p)
                    p.mul_(1 - rate * 0.02).add_(update, alpha=-rate * 0.2 * max(p.shape[0], p[0].numel()) ** 0.5)
                else:
                    state["m"].lerp_(p.grad, 0.1)
                    state["v"].lerp_(p.grad.square(), 0.01)
                    k = state["step"]
                    m, v = state["m"] / (1 - 0.9**k), state["v"] / (1 - 0.99**k)
                    p.addcdiv_(m, v.sqrt_().add_(1e-8), value=-rate)


def orthogonalised(g, steps=4):
    """The nearest half-orthogonal matrix, roughly, by a quintic Newton-Schulz iteration."""
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).to(g.dtype)


def save_atomic(data, path):
    """torch.save that a kill cannot leave half written."""
    torch.save(data, path + ".part")
    os.replace(path + ".part", path)


def load_if_there(path, device="cpu"):
    """A checkpoint, or nothing."""
    return torch.load(path, map_location=device, weights_only=False) if os.path.exists(path) else None
