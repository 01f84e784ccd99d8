"""How often generated pictures show what their prompts say.

    python score.py prompts FOLDER [--count 500] [--seed 900]
        writes FOLDER/prompts.txt (one a line, what the program reads) and FOLDER/prompts.json (what each must show).
        Three in ten (150 of 500) have a pair of thing and colour that is nowhere in training. No prompt occurs in
        training word for word (given --pool N, the number of training pictures; slow but exact).
    python score.py generate MODEL FOLDER [--first N] [--steps 25] [--guidance 2] [--batch 8] [--threads 1]
        draws them with diffusers into FOLDER/pictures/000000.png ...
    python score.py read READER.pt FOLDER/prompts.json PICTURES
        reads pictures named 000000.png, 000001.png ... back, prints the rates, and the same with prompts shuffled.

Each rate is over all named things; an absent thing is wrong in colour, place and count. Present: the reader finds the
thing at all. Colour: every find of it has the named colour. Place: the middle of its finds lies on the side that the
prompt means (left and right: beyond 0.42 and 0.58 of the width, and so on). Count: exactly the named number of finds.
What a prompt leaves unsaid has a fixed meaning in this world (world.py) and is scored as if said.
"""

import argparse
import json
import os
import random

import numpy as np
from PIL import Image

import captions
import world


def training_captions(pool, train_seed, text_batches=450):
    """Every caption of the pool, and those of the text encoder's stage (64 a step)."""
    seen = set()
    if pool:
        rng = random.Random(train_seed)
        for _ in range(text_batches):
            scenes = [world.sample_scene(rng) for _ in range(64)]
            seen.update(captions.caption(s, rng) for s in scenes)
        rng = random.Random(train_seed + 1)
        for _ in range(pool // 32):
            scenes = [world.sample_scene(rng) for _ in range(32)]
            seen.update(captions.caption(s, rng) for s in scenes for _ in range(4))
    return seen


def make_prompts(folder, count, seed, pool, train_seed):
    """Held-out prompts and their meanings."""
    seen = training_captions(pool, train_seed)
    rng = random.Random(seed)
    rows = []
    while len(rows) < count:
        new_pair = len(rows) % 10 < 3
        scene = world.sample_scene(rng, held_out=new_pair)
        text = captions.caption(scene, rng)
        if text in seen:
            continue
        seen.add(text)
        groups = [{"thing": g.thing, "colour": g.colour, "count": g.count, "place": g.place} for g in scene.groups]
        rows.append({"prompt": text, "kind": scene.kind, "new_pair": new_pair, "groups": groups})
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/prompts.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    with open(f"{folder}/prompts.txt", "w", encoding="utf-8") as file:
        file.writelines(row["prompt"] + "\n" for row in rows)


def generate(model, folder, first, steps, guidance, batch, threads):
    """Draws the prompts with diffusers."""
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(threads)
    pipe = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    with open(f"{folder}/prompts.json", encoding="utf-8") as file:
        texts = [row["prompt"] for row in json.load(file)][:first]
    os.makedirs(f"{folder}/pictures", exist_ok=True)
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        seeds = [torch.Generator().manual_seed(1000 + start + i) for i in range(len(part))]
        images = pipe(part, num_inference_steps=steps, guidance_scale=guidance, generator=seeds).images
        for i, image in enumerate(images):
            image.save(f"{folder}/pictures/{start + i:06d}.png")


def on_side(place, x, y):
    """Whether a point (0..1) is where `place` says."""
    middle_x, middle_y = 0.32 < x < 0.68, 0.32 < y < 0.68
    tests = {"left": x < 0.42, "right": x > 0.58, "top": y < 0.42, "bottom": y > 0.58, "middle": middle_x and middle_y}
    return tests[place]


def judge(row, finds):
    """Per named thing: present, colour, place, count."""
    marks = []
    for group in row["groups"]:
        mine = [f for f in finds if f[0] == group["thing"]]
        if not mine:
            marks.append((0, 0, 0, 0))
            continue
        x, y = np.mean([f[2] for f in mine]) / 128, np.mean([f[3] for f in mine]) / 128
        colour = all(f[1] == group["colour"] for f in mine)
        marks.append((1, int(colour), int(on_side(group["place"], x, y)), int(len(mine) == group["count"])))
    return marks


def rates(rows, found):
    """Mean marks over all things."""
    marks = np.array([m for row, finds in zip(rows, found) for m in judge(row, finds)], float)
    names = ("present", "colour", "place", "count")
    return {"things": len(marks), **{n: round(float(v), 4) for n, v in zip(names, marks.mean(0))}} if len(marks) else {}


def read_back(reader_path, rows, pictures):
    """The finds of every picture that is there, in order; and the rows that have one."""
    import reader

    model = reader.load(reader_path)
    found, kept = [], []
    for i, row in enumerate(rows):
        path = f"{pictures}/{i:06d}.png"
        if not os.path.exists(path):
            continue
        image = Image.open(path).convert("RGB")
        if image.size != (128, 128):
            image = image.resize((128, 128), Image.BOX if image.size[0] % 128 == 0 else Image.LANCZOS)
        found += reader.read(model, [np.asarray(image)])
        kept.append(row)
    return kept, found


def report(rows, found):
    """All the rates, and chance."""
    out = {"prompts": len(rows), "all": rates(rows, found)}
    for name, test in (("new pairs", True), ("seen pairs", False)):
        some = [(r, f) for r, f in zip(rows, found) if r["new_pair"] == test]
        out[name] = rates([r for r, _ in some], [f for _, f in some])
    for kind in world.KINDS:
        some = [(r, f) for r, f in zip(rows, found) if r["kind"] == kind]
        out[kind] = rates([r for r, _ in some], [f for _, f in some])
    several = [({**r, "groups": [g for g in r["groups"] if g["count"] > 1]}, f) for r, f in zip(rows, found)]
    out["counts of two and three"] = rates([r for r, _ in several], [f for _, f in several])
    turned = found[len(found) // 2 :] + found[: len(found) // 2]
    out["prompts shuffled (chance)"] = rates(rows, turned)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("prompts", "generate", "read"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--pool", type=int, default=0)
    parser.add_argument("--train-seed", type=int, default=20)
    parser.add_argument("--first", type=int)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    if a.what == "prompts":
        make_prompts(a.paths[0], a.count, a.seed, a.pool, a.train_seed)
    elif a.what == "generate":
        generate(a.paths[0], a.paths[1], a.first, a.steps, a.guidance, a.batch, a.threads)
    else:
        with open(a.paths[1], encoding="utf-8") as file:
            rows = json.load(file)
        rows, found = read_back(a.paths[0], rows, a.paths[2])
        for name, values in report(rows, found).items():
            print(f"{name}: {values}")


if __name__ == "__main__":
    main()
