"""Trains the default model, all stages in order; a killed run goes on where it stopped when started again.

    python train.py WORK [--preset cpu128|gpu256] [--set name=value ...] [--until HH:MM]

Stages: autoencoder (train_vae.py), text encoder (train_text.py), UNet (train_unet.py). WORK holds checkpoints, the
pool of latents and the logs of losses (vae.csv, text.csv, unet.csv), and `train.pid`. Then:

    python train_vae.py WORK --decoder 1000              the decoder once more, for sharper edges (beside the UNet, or after)
    python reader.py train READER.pt --steps 1200        the network that reads pictures back; states its accuracy
    python export.py WORK FOLDER                         writes the folder that diffusers and our program load
    python score.py prompts EVAL --pool 20480            500 held-out prompts
    diffuse-batch EVAL/prompts.txt --model FOLDER --num-inference-steps 25 --guidance-scale 2 --seed 1 --output-dir PICTURES
    python score.py read READER.pt EVAL/prompts.json PICTURES

A second process speeds the UNet up on a shared CPU: the same command twice, with RANK=0 and RANK=1, WORLD_SIZE=2,
MASTER_ADDR=127.0.0.1 and a MASTER_PORT in the environment. widen.py says how the weights that ship were made from an
earlier training; with them the steps were: widen.py start, --decoder 1000 beside train_unet.py, widen.py encoder.

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
