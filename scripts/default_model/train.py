"""Trains the default model, all stages in order; a killed run goes on where it stopped when started again.

    python train.py WORK [--preset cpu128|gpu256] [--set name=value ...] [--until HH:MM]

Stages: autoencoder (train_vae.py), text encoder (train_text.py), UNet (train_unet.py). WORK holds checkpoints, the
pool of latents and the logs of losses (vae.csv, text.csv, unet.csv), and `train.pid`. Then:

    python export.py WORK FOLDER      writes the folder that diffusers and our program load
    python score.py ...               generates, reads the pictures back and scores them (see there)

On two CPU cores (preset cpu128) about two hours; on one data-centre GPU (gpu256) about nine minutes. Needs torch,
diffusers, transformers, numpy, scipy and Pillow; everything is seeded, and nothing is downloaded.
"""

import argparse
import os

import torch

import config as settings
import train_text
import train_unet
import train_vae


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work")
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--until", help="time of day (UTC) at which the UNet is to be ready, instead of its minutes")
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    os.makedirs(arguments.work, exist_ok=True)
    if os.environ.get("RANK", "0") == "0":
        with open(f"{arguments.work}/train.pid", "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    torch.set_num_threads(config.threads)
    train_vae.train(config, arguments.work)
    if not os.path.exists(f"{arguments.work}/text.pt"):
        train_text.train(config, arguments.work)
    until = train_unet.seconds_until(arguments.until) if arguments.until else None
    train_unet.train(config, arguments.work, until)


if __name__ == "__main__":
    main()
