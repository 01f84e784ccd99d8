"""Stage 3: the UNet, with the text encoder going on beside it, on prepared latents.

    python train_unet.py WORK [--preset cpu128] [--set name=value ...] [--until HH:MM]

v-prediction with zero terminal SNR; more weight on the noisy steps, where a caption decides what is drawn; captions
dropped now and then for guidance; a running mean of the weights is what ships. The learning rate falls over the last
third of the time, whether that is given in minutes (unet_minutes) or as a time of day in UTC (--until). On a CPU
that is shared with others, several processes of one thread each (torchrun) are far faster than one of several threads:
each takes its own steps, and their weights are averaged every few of them (local SGD). Resumes from WORK/unet.pt,
which is replaced every two minutes; losses in WORK/unet.csv.
"""

import argparse
import copy
import datetime
import os
import random
import time

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTokenizer

import captions
import config as settings
import networks
import train_text
import world

WORDINGS = 4
SHARE_EVERY = 8  # steps between two averagings of the ranks' weights


def prepare_pool(config, work):
    """Latents (mean of the posterior, unscaled) and token numbers of the training pictures; kept in WORK/pool.npz."""
    path = f"{work}/pool.npz"
    if os.path.exists(path):
        data = np.load(path)
        return data["latents"], data["tokens"], [data[f"layout{i}"] for i in range(4)], float(data["scale"])
    vae = networks.make_vae(config).to(config.device).eval()
    vae.load_state_dict(torch.load(f"{work}/vae.pt", map_location=config.device, weights_only=False)["vae"])
    tokenizer = CLIPTokenizer.from_pretrained(f"{work}/tokenizer")
    rng = random.Random(config.seed + 1)
    latents, tokens, layouts = [], [], []
    for start in range(0, config.pool, 32):
        scenes = [world.sample_scene(rng) for _ in range(32)]
        x = torch.from_numpy(np.stack([world.paint(s, config.picture) for s in scenes])).permute(0, 3, 1, 2)
        with torch.autocast(config.device, torch.bfloat16):
            z = networks.latents_of(vae, x.to(config.device).float() / 127.5 - 1)
        latents.append(z.cpu().numpy().astype(np.float16))
        layouts += [train_text.layout(s) for s in scenes]
        texts = [captions.caption(s, rng) for s in scenes for _ in range(WORDINGS)]
        rows = train_text.tokenise(tokenizer, texts, config.text_length).numpy().astype(np.int16)
        tokens.append(rows.reshape(32, WORDINGS, config.text_length))
    latents, tokens = np.concatenate(latents), np.concatenate(tokens)
    scale = 1 / float(latents[:2048].astype(np.float32).std())
    layouts = [np.stack([row[i] for row in layouts]).astype(np.uint8) for i in range(4)]
    named = {f"layout{i}": part for i, part in enumerate(layouts)}
    np.savez(path + ".part.npz", latents=latents, tokens=tokens, scale=scale, **named)
    os.replace(path + ".part.npz", path)
    return latents, tokens, layouts, scale


class Trainer:
    """The two networks, their optimiser and their running means."""

    def __init__(self, config, work, scale=1.0):
        self.config, self.work, self.scale = config, work, scale
        torch.manual_seed(config.seed)
        self.tokenizer = CLIPTokenizer.from_pretrained(f"{work}/tokenizer")
        ends = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        self.text = networks.make_text(config, len(self.tokenizer), *ends).to(config.device)
        self.unet = networks.make_unet(config).to(config.device)
        self.head = train_text.Head(config.text_width).to(config.device)
        first = torch.load(f"{work}/text.pt", map_location=config.device, weights_only=False)
        self.text.load_state_dict(first["text"])
        if "head" in first:
            self.head.load_state_dict(first["head"])
        tables = [m.weight for m in self.text.modules() if isinstance(m, torch.nn.Embedding)]
        groups = [
            {"params": list(self.unet.parameters())},
            {"params": list(self.text.parameters()), "scale": config.unet_text_lr / config.unet_lr},
            {"params": list(self.head.parameters()), "scale": 0.5},
        ]
        plain = tables + [self.head.queries, self.unet.conv_in.weight, self.unet.conv_out.weight]
        self.optimiser = networks.Optimiser(groups, config.unet_lr, plain)
        self.networks = torch.nn.ModuleDict({"unet": self.unet, "text": self.text})
        self.mean = copy.deepcopy(self.networks).requires_grad_(False)
        self.state = {"step": 0, "spent": 0.0, "samples": 0}
        saved = networks.load_if_there(f"{work}/unet.pt", config.device)
        if saved:
            self.networks.load_state_dict(saved["networks"])
            self.mean.load_state_dict(saved["mean"])
            self.head.load_state_dict(saved["head"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.state = saved["state"]
        self.alpha = networks.make_scheduler().alphas_cumprod.to(config.device)
        self.weight = torch.ones(config.latent_channels, device=config.device)
        self.weight[-3:] = config.colour_weight
        self.empty = train_text.tokenise(self.tokenizer, [""], config.text_length)[0].to(config.device)

    def save(self):
        """Replaces the checkpoint."""
        data = {"networks": self.networks.state_dict(), "mean": self.mean.state_dict(), "state": self.state}
        data.update(head=self.head.state_dict(), optimiser=self.optimiser.state_dict(), scale=self.scale)
        networks.save_atomic(data, f"{self.work}/unet.pt")

    @torch.no_grad()
    def share(self, done, ranks):
        """Puts the mean of all ranks' weights in place of each; gives the first rank's progress."""
        parameters = [*self.networks.parameters(), *self.head.parameters()]
        clock = torch.tensor([done * ranks if torch.distributed.get_rank() == 0 else 0.0])
        flat = torch.cat([p.flatten() for p in parameters] + [clock])
        torch.distributed.all_reduce(flat)
        flat /= ranks
        start = 0
        for p in parameters:
            p.copy_(flat[start : start + p.numel()].view_as(p))
            start += p.numel()
        return float(flat[-1])

    def step(self, x0, tokens, answers, rate):
        """One update; gives the two losses and how many cells of things the layout head names rightly."""
        n = x0.shape[0]
        dropped = torch.rand(n, 1, device=x0.device) < self.config.caption_drop
        tokens = torch.where(dropped, self.empty, tokens)
        t = (999.99 * (1 - torch.rand(n, device=x0.device) ** 1.5)).long()
        a = self.alpha[t].view(n, 1, 1, 1)
        noise = torch.randn_like(x0)
        noisy, target = a.sqrt() * x0 + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x0
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # On a CPU the plain attention is faster at these sizes than the fused one, backwards above all.
        kernels = [SDPBackend.MATH] if self.config.device == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        with torch.autocast(self.config.device, torch.bfloat16), sdpa_kernel(kernels):
            words = self.text(tokens).last_hidden_state
            v = self.unet(noisy, t, encoder_hidden_states=words).sample
            # The layout task goes on with an eighth of the captions, which keeps it cheap.
            heard = (~dropped[:, 0]).nonzero()[: max(1, n // 8), 0]
            cells, whole = self.head(words[heard])
        error = (v.float() - target).square().mean((0, 2, 3))
        loss = error.mean()
        drawn = (error * self.weight).mean()
        second, right, _ = train_text.layout_loss(cells, whole, [a[heard] for a in answers])
        self.optimiser.zero_grad()
        (drawn + 0.1 * second).backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimiser.step()
        self.state["step"] += 1
        decay = min(self.config.ema, self.state["step"] / (self.state["step"] + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.networks.parameters()), 1 - decay)
        return torch.stack([loss.detach(), second.detach(), right])


def _join(config, work):
    """This process's rank and how many there are (RANK and WORLD_SIZE, as torchrun sets them; else alone)."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    return rank, ranks


def train(config, work, until=None):
    """Runs the stage to its end, or goes on where a killed run stopped."""
    rank, ranks = _join(config, work)
    latents, tokens, layouts, scale = prepare_pool(config, work)
    trainer = Trainer(config, work, scale)
    state = trainer.state
    torch.manual_seed(config.seed + state["step"] * ranks + rank)
    log = open(f"{work}/unet.csv" if rank == 0 else os.devnull, "a", buffering=1)
    began = last_save = time.time()
    state.setdefault("first", began)
    budget = config.unet_minutes * 60
    rows = np.random.default_rng((config.seed, state["step"], rank))
    losses, spent = [], state["spent"]
    while True:
        now = time.time()
        state["spent"] = spent + now - began
        done = (now - state["first"]) / (until - state["first"]) if until else state["spent"] / budget
        if ranks > 1 and state["step"] % SHARE_EVERY == 0:
            done = trainer.share(done, ranks)
        if done >= 1 and (ranks == 1 or state["step"] % SHARE_EVERY == 0):
            break
        rate = config.unet_lr * min(1, (state["step"] + 1) / 100) * max(0.0, min(1.0, (1 - done) / 0.35))
        pick = rows.integers(0, len(latents), config.unet_batch)
        x0 = torch.from_numpy(latents[pick].astype(np.float32) * scale).to(config.device)
        chosen = tokens[pick, rows.integers(0, WORDINGS, config.unet_batch)].astype(np.int64)
        answers = [torch.from_numpy(part[pick].astype(np.int64)).to(config.device) for part in layouts]
        state["samples"] = state["samples"] + config.unet_batch * ranks
        losses.append(trainer.step(x0, torch.from_numpy(chosen).to(config.device), answers, rate))
        if state["step"] % 50 == 0:
            numbers = ",".join(f"{float(x):.4f}" for x in torch.stack(losses).mean(0))
            print(f"{state['step']},{state['samples']},{state['spent']:.0f},{numbers},{rate:.6f}", file=log)
            losses = []
        if rank == 0 and now - last_save > 120:
            trainer.save()
            last_save = now
    if rank == 0:
        trainer.save()


def seconds_until(text):
    """A time of day in UTC, as a time stamp (today's)."""
    hour, minute = map(int, text.split(":"))
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work")
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--until")
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    torch.set_num_threads(config.threads)
    train(config, arguments.work, seconds_until(arguments.until) if arguments.until else None)


if __name__ == "__main__":
    main()
