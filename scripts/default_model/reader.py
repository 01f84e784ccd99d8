"""A small network that reads pictures of the world back: which things, in which colours, where.

    python reader.py train MODEL.pt [--steps 800] [--threads 1]     trains on painted pictures, then states its accuracy
    python reader.py test MODEL.pt                                  the accuracy alone

It is trained on scenes of its own (things at any position, of any size, all pairs of thing and colour, softened and
noisy), half of them of the kind the model was trained on. Output per 8x8 cell: how likely the centre of each thing is
here, and the colour. Neighbouring cells of the same thing are one find.
"""

import argparse
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

import networks
import things
import world

KINDS, SHADES = len(things.NAMES), len(world.COLOUR_NAMES)


class Reader(torch.nn.Module):
    """128x128 pictures to a 16x16 grid of KINDS centre logits and SHADES colour logits."""

    def __init__(self):
        super().__init__()
        widths = (24, 48, 96)
        layers, before = [], 3
        for w in widths:
            layers += [torch.nn.Conv2d(before, w, 3, 2, 1), torch.nn.GroupNorm(8, w), torch.nn.ReLU()]
            layers += [torch.nn.Conv2d(w, w, 3, 1, 1), torch.nn.GroupNorm(8, w), torch.nn.ReLU()]
            before = w
        self.stem = torch.nn.Sequential(*layers)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(96, 96, 3, 1, d, dilation=d), torch.nn.GroupNorm(8, 96), torch.nn.ReLU())
            for d in (1, 2, 2, 1)
        )
        self.head = torch.nn.Conv2d(96, KINDS + SHADES, 1)

    def forward(self, x):
        """x (n, 3, 128, 128) in -1..1."""
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def free_scene(rng):
    """A picture with one to four things anywhere, and what it holds: (thing, colour, x, y)."""
    while True:
        background = rng.choice(tuple(world.BACKGROUNDS))
        style = rng.choices(world.STYLES, (0.55, 0.15, 0.15, 0.15))[0]
        picture = world.background_picture(background, 128).copy()
        held, boxes = [], []
        for _ in range(rng.randint(1, 4)):
            name, colour = rng.choice(things.NAMES), rng.choice(world.COLOUR_NAMES)
            size = rng.choice((32, 34, 36, 38, 44, 50, 54, 56, 60))
            x, y = (rng.randint(size // 2 - 2, 130 - size // 2) for _ in range(2))
            apart = all(max(abs(x - a), abs(y - b)) > (size + s) / 2 - 2 for a, b, s in boxes)
            if not apart or not world.far_apart(colour, background):
                continue
            world.paste(picture, name, colour, size, x, y, style == "outlined")
            held.append((name, colour, x, y))
            boxes.append((x, y, size))
        if held:
            return np.clip(world.styled(picture, style), 0, 255), held


def known_scene(rng):
    """A picture of the model's own world, and what it holds."""
    scene = world.sample_scene(rng, held_out=None)
    return world.paint(scene).astype(np.float32), [(g.thing, g.colour, x, y) for g in scene.groups for x, y in g.centres]


def spoiled(picture, rng):
    """Softened, shifted in brightness, noisy."""
    if rng.random() < 0.5:
        sigma = rng.uniform(0.3, 1.2)
        picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0))
    if rng.random() < 0.5:
        picture = picture + np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 12), picture.shape)
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.92, 1.06) + rng.uniform(-8, 8)
    return np.clip(picture, 0, 255).astype(np.float32)


def batch(rng, count):
    """Pictures, heat maps of centres (n, KINDS, 16, 16), and colours per cell (-1 where no centre is near)."""
    pictures = np.empty((count, 128, 128, 3), np.float32)
    heat = np.zeros((count, KINDS, 16, 16), np.float32)
    shade = np.full((count, 16, 16), -1, np.int64)
    cells = np.arange(16) * 8 + 3.5
    for i in range(count):
        picture, held = (free_scene if rng.random() < 0.5 else known_scene)(rng)
        pictures[i] = spoiled(picture, rng)
        for name, colour, x, y in held:
            bump = np.exp(-((cells[None, :] - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * 6.0**2))
            k = things.NAMES.index(name)
            heat[i, k] = np.maximum(heat[i, k], bump)
            shade[i][bump > 0.3] = world.COLOUR_NAMES.index(colour)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    return x, torch.from_numpy(heat), torch.from_numpy(shade)


def read(model, pictures, threshold=0.11):
    """Finds in pictures (n, 128, 128, 3) of 0..255: per picture a list of (thing, colour, x, y, strength)."""
    found = []
    model.eval()
    with torch.no_grad():
        x = torch.from_numpy(np.asarray(pictures, np.float32)).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
        out = model(x)
    heat = torch.sigmoid(out[:, :KINDS]).numpy()
    shade = out[:, KINDS:].numpy()
    for h, s in zip(heat, shade):
        finds = []
        for k in np.nonzero(h.max((1, 2)) > threshold)[0]:
            regions, n = ndimage.label(h[k] > threshold)
            for r in range(1, n + 1):
                weight = h[k] * (regions == r)
                ys, xs = np.mgrid[0:16, 0:16] * 8 + 3.5
                total = weight.sum()
                colour = world.COLOUR_NAMES[int((s * weight).sum((1, 2)).argmax())]
                where = float((weight * xs).sum() / total), float((weight * ys).sum() / total)
                finds.append((things.NAMES[k], colour, *where, float(weight.max())))
        found.append(without_doubles(finds))
    return found


def without_doubles(finds):
    """Two readings of one spot: the stronger stays."""
    kept = []
    for find in sorted(finds, key=lambda f: -f[4]):
        if all(max(abs(find[2] - k[2]), abs(find[3] - k[3])) > 10 for k in kept):
            kept.append(find)
    return kept


def accuracy(model, count=1000, seed=77):
    """Over things in held-out pictures of the model's world: present, colour, place within 12 pixels; exact pictures."""
    rng = random.Random(seed)
    total = present = colour_right = near = exact = 0
    for _ in range(count // 50):
        items = [known_scene(rng) for _ in range(50)]
        for finds, (_, held) in zip(read(model, [p for p, _ in items]), items):
            matched = 0
            for name, colour, x, y in held:
                spot = [f for f in finds if f[0] == name and max(abs(f[2] - x), abs(f[3] - y)) <= 12]
                total += 1
                present += any(f[0] == name for f in finds)
                near += bool(spot)
                good = bool(spot) and spot[0][1] == colour
                colour_right += good
                matched += good
            exact += matched == len(held) == len(finds)
    return {"things": total, "present": present / total, "place": near / total, "colour": colour_right / total, "exact": exact / count}


def train(path, steps, seed=3):
    """Trains for a number of steps, replacing the file every minute; goes on from a file that is there."""
    torch.manual_seed(seed)
    model = Reader()
    before = networks.load_if_there(path)
    rng = random.Random(seed + (1 if before else 0))
    optimiser = networks.Optimiser([{"params": list(model.parameters())}], 2e-3)
    torch.nn.init.constant_(model.head.bias[:KINDS], -4.0)
    if before:
        model.load_state_dict(before)
    last = time.time()
    for step in range(steps):
        x, heat, shade = batch(rng, 24)
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * min(1.0, (1 - step / steps) / 0.5)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x)
        out = out.float()
        loss = 30 * F.binary_cross_entropy_with_logits(out[:, :KINDS], heat)
        loss = loss + F.cross_entropy(out[:, KINDS:], shade, ignore_index=-1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if time.time() - last > 60:
            networks.save_atomic(model.state_dict(), path)
            last = time.time()
            print(step, float(loss.detach()), flush=True)
    networks.save_atomic(model.state_dict(), path)
    return model


def load(path):
    """The trained reader."""
    model = Reader()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "test"))
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = train(arguments.model, arguments.steps) if arguments.what == "train" else load(arguments.model)
    print({k: round(v, 4) for k, v in accuracy(model).items()})


if __name__ == "__main__":
    main()
