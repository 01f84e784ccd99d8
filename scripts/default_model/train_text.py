"""Stage 2: the text encoder learns what captions mean, before any picture is drawn.

    python train_text.py WORK [--preset cpu128] [--set name=value ...]

A small head with one learned query for each 2x2 cells of the latent grid reads the encoder's output and must say which
thing and colour each cell shows, and the background and style. The head goes on as a second task of stage 3 and is then
thrown away; the encoder enters stage 3 knowing words, places and what belongs to what. This is far cheaper than learning language through the UNet.
"""

import argparse
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTokenizer

import captions
import config as settings
import networks
import things
import vocabulary
import world

CELLS = 16
KINDS = 1 + len(things.NAMES)
SHADES = 1 + len(world.COLOUR_NAMES)
BACKGROUND_NAMES = tuple(world.BACKGROUNDS)


def layout(scene):
    """Per cell: thing (0 for none), colour (0 for none); and background and style."""
    thing = np.zeros((CELLS, CELLS), np.int64)
    colour = np.zeros((CELLS, CELLS), np.int64)
    for group in scene.groups:
        half = world.SIZES[group.size] / 16
        for x, y in group.centres:
            left, right = round(x / 8 - half), round(x / 8 + half)
            top, bottom = round(y / 8 - half), round(y / 8 + half)
            thing[top:bottom, left:right] = 1 + things.NAMES.index(group.thing)
            colour[top:bottom, left:right] = 1 + world.COLOUR_NAMES.index(group.colour)
    return thing, colour, BACKGROUND_NAMES.index(scene.background), world.STYLES.index(scene.style)


class Head(torch.nn.Module):
    """Learned queries over the grid, then two layers that read the words."""

    def __init__(self, width):
        super().__init__()
        self.queries = torch.nn.Parameter(torch.randn(1, 65, width) * 0.1)
        layer = torch.nn.TransformerDecoderLayer(width, 4, 3 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerDecoder(layer, 2)
        self.cells = torch.nn.Linear(width, 4 * (KINDS + SHADES))
        self.whole = torch.nn.Linear(width, len(BACKGROUND_NAMES) + len(world.STYLES))

    def forward(self, words):
        """words (n, tokens, width) to cell logits (n, 16, 16, kinds + shades) and picture logits."""
        n = words.shape[0]
        x = self.layers(self.queries.expand(n, -1, -1), words)
        cells = self.cells(x[:, :64]).view(n, 8, 8, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        return cells.reshape(n, CELLS, CELLS, -1), self.whole(x[:, 64])


def layout_loss(cells, whole, answers):
    """Cross entropies of a Head's output; answers: things and colours (n, 16, 16), backgrounds and styles (n,)."""
    cells, whole = cells.float().flatten(0, 2), whole.float()
    thing, colour = answers[0].flatten(), answers[1].flatten()
    weight = torch.ones(KINDS + SHADES, device=cells.device)
    weight[0] = weight[KINDS] = 0.3  # the background covers most cells
    loss = F.cross_entropy(cells[:, :KINDS], thing, weight[:KINDS])
    loss = loss + F.cross_entropy(cells[:, KINDS:], colour, weight[KINDS:])
    split = len(BACKGROUND_NAMES)
    loss = loss + 0.2 * F.cross_entropy(whole[:, :split], answers[2]) + 0.2 * F.cross_entropy(whole[:, split:], answers[3])
    right = (cells[:, :KINDS].argmax(1) == thing)[thing > 0].float().mean()
    hue = (cells[:, KINDS:].argmax(1) == colour)[colour > 0].float().mean()
    return loss, right, hue


def tokenise(tokenizer, texts, length):
    """Token numbers, padded with the end token, (n, length)."""
    return tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids


def train(config, work):
    """Runs the stage; a killed run starts over (it is short)."""
    torch.manual_seed(config.seed)
    vocabulary.write(f"{work}/tokenizer", config.text_length)
    tokenizer = CLIPTokenizer.from_pretrained(f"{work}/tokenizer")
    text = networks.make_text(config, len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id).to(config.device)
    head = Head(config.text_width).to(config.device)
    parameters = [*text.parameters(), *head.parameters()]
    plain = [text.get_input_embeddings().weight, *(m.weight for m in text.modules() if isinstance(m, torch.nn.Embedding))]
    optimiser = networks.Optimiser([{"params": parameters}], config.text_lr, plain + [head.queries])
    rng = random.Random(config.seed)
    log = open(f"{work}/text.csv", "w", buffering=1)
    began, step, done = time.time(), 0, 0.0
    while done < 1:
        done = (time.time() - began) / (config.text_minutes * 60)
        scenes = [world.sample_scene(rng) for _ in range(config.text_batch)]
        tokens = tokenise(tokenizer, [captions.caption(s, rng) for s in scenes], config.text_length).to(config.device)
        layouts = [layout(s) for s in scenes]
        answers = [torch.from_numpy(np.stack([a[i] for a in layouts])).to(config.device) for i in range(4)]
        for group in optimiser.param_groups:
            group["lr"] = config.text_lr * min(1, (step + 1) / 50) * max(0.0, min(1.0, (1 - done) / 0.4))
        with torch.autocast(config.device, torch.bfloat16):
            cells, whole = head(text(tokens).last_hidden_state)
        loss, right, hue = layout_loss(cells, whole, answers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 25 == 0:
            print(f"{step},{time.time() - began:.0f},{float(loss.detach()):.4f},{right:.3f},{hue:.3f}", file=log)
    networks.save_atomic({"text": text.state_dict(), "head": head.state_dict()}, f"{work}/text.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work")
    parser.add_argument("--preset", default="cpu128")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    config = settings.load(arguments.preset, arguments.set)
    torch.set_num_threads(config.threads)
    train(config, arguments.work)


if __name__ == "__main__":
    main()
