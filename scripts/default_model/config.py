"""Every setting of the default model in one place.

Two presets with the same code behind them:
  cpu128   128x128 pictures, small networks, hours on two CPU cores;
  gpu256   256x256 pictures, larger networks, minutes on one GPU.
Choose with `--preset`; every field can be overridden on the command line of train.py as `--set name=value`.
"""

import dataclasses


@dataclasses.dataclass
class Config:
    """Sizes, rates and seeds of all stages; times are minutes of wall clock."""

    picture: int = 128  # pixels per side; latents have picture / 8 per side
    seed: int = 20
    device: str = "cpu"
    threads: int = 2
    # Autoencoder.
    vae_channels: tuple = (16, 32, 48, 64)
    vae_groups: int = 8
    latent_channels: int = 11  # eight that the autoencoder finds by itself, and the mean colour of the cell
    vae_minutes: float = 10.0
    vae_batch: int = 16
    vae_lr: float = 1.5e-3
    latent_noise: float = 0.1  # in latent standard deviations, so that the decoder forgives small errors
    # Text encoder.
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4
    text_length: int = 40
    text_minutes: float = 4.0
    text_batch: int = 64
    text_lr: float = 1.0e-3
    # UNet.
    unet_channels: tuple = (32, 96, 128)
    unet_cross: str = "010"  # which levels, finest first, have cross-attention
    unet_layers: int = 1
    unet_groups: int = 16
    unet_heads: int = 4
    unet_minutes: float = 70.0
    unet_batch: int = 48
    unet_lr: float = 2.0e-3
    unet_text_lr: float = 5.0e-4
    colour_weight: float = 2.0  # of the error in a colour channel; 1 in the others
    ema: float = 0.99  # a hundred steps: the rate falls to nothing at the end, so a longer mean only lags
    caption_drop: float = 0.1
    pool: int = 32768  # pictures whose latents are prepared before the UNet is trained


PRESETS = {
    "cpu128": Config(),
    "gpu256": Config(
        picture=256,
        device="cuda",
        vae_channels=(32, 64, 96, 128),
        vae_groups=16,
        vae_minutes=2.5,
        vae_batch=32,
        vae_lr=1e-3,
        text_width=192,
        text_minutes=0.7,
        text_batch=512,
        unet_channels=(96, 192, 256),
        unet_minutes=5.0,
        unet_batch=256,
        ema=0.999,
        pool=65536,
    ),
}


def load(preset, overrides=()):
    """A preset with `name=value` overrides, values read as the field's own type."""
    config = dataclasses.replace(PRESETS[preset])
    for item in overrides:
        name, text = item.split("=", 1)
        old = getattr(config, name)
        if isinstance(old, tuple):
            value = tuple(int(part) for part in text.split(","))
        elif isinstance(old, bool):
            value = text.lower() in ("1", "true", "yes")
        else:
            value = type(old)(text)
        setattr(config, name, value)
    return config
