"""The world of pictures: scenes, how they are painted, and how they are put into words.

    python world.py SHEET.png [SEED]     a sheet of 36 scenes, their captions printed

A scene is a background, a style and up to three named groups of things at fixed slots. What a caption leaves out has a
fixed meaning (no style: flat; no size: big; no place: the middle, or from left to right; no colour: the thing's natural
one), except the background, which is then one of the plain ones.
HELD_OUT lists the pairs of thing and colour that never occur in training.
"""

import dataclasses
import functools
import random
import sys

import numpy as np
from PIL import Image, ImageDraw

import things

COLOURS = {
    "red": (216, 38, 38),
    "orange": (246, 130, 30),
    "yellow": (250, 212, 40),
    "green": (36, 148, 66),
    "blue": (38, 86, 214),
    "purple": (124, 56, 172),
    "pink": (246, 116, 182),
    "brown": (130, 78, 44),
    "black": (28, 28, 32),
    "white": (252, 252, 252),
    "grey": (136, 142, 148),
    "turquoise": (36, 192, 186),
}
COLOUR_NAMES = tuple(COLOURS)
NATURAL = {
    "house": "red", "tree": "green", "pine": "green", "sun": "yellow", "moon": "yellow", "star": "yellow",
    "cloud": "white", "mountain": "grey", "boat": "brown", "car": "red", "fish": "orange", "flower": "pink",
    "cat": "grey", "bird": "blue", "balloon": "red", "heart": "red", "mushroom": "red", "cactus": "green",
    "umbrella": "purple", "rocket": "white", "cup": "turquoise", "apple": "red", "circle": "black", "square": "blue",
    "triangle": "orange",
}  # fmt: skip
STYLES = ("flat", "outlined", "pastel", "night")
# Each background: its large colours (for contrast) and the words for it.
BACKGROUNDS = {
    "meadow": (((190, 226, 246), (164, 212, 124)), ("in a meadow", "on a green meadow", "in the meadow")),
    "sea": (((208, 234, 250), (124, 184, 226)), ("at sea", "by the sea", "on the sea")),
    "desert": (((252, 238, 206), (236, 204, 146)), ("in the desert", "in a sandy desert", "in a desert")),
    "snow": (((198, 214, 232), (240, 245, 250)), ("in the snow", "on a snowy field", "in snow")),
    "night sky": (((24, 28, 66),), ("in the night sky", "under a night sky", "with a night sky")),
    "sunset": (((255, 216, 154), (252, 190, 146), (238, 164, 154), (196, 146, 176)), ("at sunset", "in the sunset")),
    "city": (((214, 224, 234), (166, 176, 190)), ("in the city", "in a city", "in front of a city")),
    "white": (((250, 250, 250),), ("on a white background", "on white")),
    "light grey": (((206, 208, 212),), ("on a light grey background", "on a grey background")),
    "light blue": (((200, 222, 246),), ("on a light blue background", "on a blue background")),
    "light yellow": (((253, 244, 190),), ("on a light yellow background", "on a yellow background")),
    "light pink": (((250, 214, 226),), ("on a light pink background", "on a pink background")),
    "light green": (((212, 238, 206),), ("on a light green background", "on a green background")),
}
PLAIN = tuple(BACKGROUNDS)[7:]
HELD_OUT = frozenset(
    [(n, COLOUR_NAMES[(5 * i + 3) % 12]) for i, n in enumerate(things.NAMES) if COLOUR_NAMES[(5 * i + 3) % 12] != NATURAL[n]]
    + [(n, COLOUR_NAMES[(7 * i + 4) % 12]) for i, n in enumerate(things.NAMES) if i % 3 == 0]
) - frozenset(NATURAL.items())
SIZES = {"small": 36, "big": 56}  # of 128
ROWS = {"top": 32, "middle": 64, "bottom": 96}
COLUMNS = {1: (64,), 2: (32, 96), 3: (24, 64, 104)}


@dataclasses.dataclass
class Group:
    """One named kind of thing: `count` of it, at centres given in 128ths of the picture."""

    thing: str
    colour: str
    size: str
    centres: tuple
    place: str = ""  # left, right, top, bottom, middle: what a reader may check of it

    @property
    def count(self):
        return len(self.centres)


@dataclasses.dataclass
class Scene:
    """What one picture shows; `kind` says which wordings fit it."""

    kind: str
    groups: tuple
    background: str
    style: str


def far_apart(colour, background):
    mine = np.array(COLOURS[colour], float)
    return all(np.abs(mine - np.array(other)).sum() > 150 for other in BACKGROUNDS[background][0])


def _pick(rng, held_out):
    """A thing and its colour: natural one time in six; held-out pairs only when asked for."""
    while True:
        name = rng.choice(things.NAMES)
        colour = NATURAL[name] if rng.random() < 0.16 else rng.choice(COLOUR_NAMES)
        if held_out is None or ((name, colour) in HELD_OUT) == held_out:
            return name, colour


KINDS = {"single": 0.34, "beside": 0.19, "above": 0.16, "three": 0.09, "many": 0.14, "many_above": 0.08}


def sample_scene(rng, held_out=False, kinds=None):
    """A random scene. `held_out`: its first thing has a pair never seen in training (the others have seen ones)."""
    kinds = kinds or KINDS
    while True:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        groups = _groups(rng, kind, held_out)
        names = [(g.thing, g.colour) for g in groups]
        style = rng.choices(STYLES, (0.64, 0.14, 0.12, 0.10))[0]
        background = rng.choice(tuple(BACKGROUNDS)[:7] if rng.random() < 0.55 else PLAIN)
        if len(set(g.thing for g in groups)) == len(names) and all(far_apart(c, background) for _, c in names):
            return Scene(kind, groups, background, style)


def _groups(rng, kind, held_out):
    picked = [_pick(rng, held_out)] + [_pick(rng, False) for _ in range(2)]
    if held_out is None:
        picked = [_pick(rng, None) for _ in range(3)]

    def one(i, x, y, place, size=None):
        size = size or ("small" if rng.random() < 0.3 else "big")
        return Group(*picked[i], size, ((x, y),), place)

    if kind == "single":
        place = rng.choice(("middle", "middle", "left", "right", "top", "bottom"))
        x = {"left": 32, "right": 96}.get(place, 64)
        return (one(0, x, ROWS.get(place, 64), place),)
    if kind == "beside":
        return one(0, 32, 64, "left"), one(1, 96, 64, "right")
    if kind == "above":
        return one(0, 64, 32, "top"), one(1, 64, 96, "bottom")
    if kind == "three":
        return tuple(one(i, x, 64, p, "small") for i, (x, p) in enumerate(zip(COLUMNS[3], ("left", "middle", "right"))))
    count = rng.choice((2, 3))
    size = "big" if count == 2 else "small"
    if kind == "many":
        row = rng.choice(("middle", "middle", "top", "bottom"))
        return (Group(*picked[0], size, tuple((x, ROWS[row]) for x in COLUMNS[count]), row),)
    top_is_many = rng.random() < 0.5
    rows = ("top", "bottom") if top_is_many else ("bottom", "top")
    many = Group(*picked[0], size, tuple((x, ROWS[rows[0]]) for x in COLUMNS[count]), rows[0])
    other = one(1, 64, ROWS[rows[1]], rows[1], "big")
    return (many, other)


# ---- painting ----


@functools.lru_cache(maxsize=64)
def background_picture(name, side):
    """The empty background, (side, side, 3) in 0..255."""
    scale = 4
    image = Image.new("RGB", (side * scale, side * scale))
    draw = ImageDraw.Draw(image)
    unit = side * scale / 128
    colours = BACKGROUNDS[name][0]

    def rect(left, top, right, bottom, colour):
        draw.rectangle([left * unit, top * unit, right * unit - 1, bottom * unit - 1], fill=colour)

    rect(0, 0, 128, 128, colours[0])
    if name in ("meadow", "desert", "snow"):
        rect(0, 84, 128, 128, colours[1])
        draw.ellipse([-30 * unit, 72 * unit, 90 * unit, 150 * unit], fill=colours[1])
    elif name == "sea":
        rect(0, 72, 128, 128, colours[1])
    elif name == "night sky":
        for x, y in ((8, 10), (60, 6), (112, 18), (6, 62), (122, 70), (10, 118), (64, 122), (116, 112), (94, 4)):
            draw.ellipse([(x - 1.6) * unit, (y - 1.6) * unit, (x + 1.6) * unit, (y + 1.6) * unit], fill=(250, 246, 210))
    elif name == "sunset":
        for i, colour in enumerate((colours[3], colours[2], colours[1], colours[0])):
            rect(0, 32 * i, 128, 32 * i + 32, colour)
    elif name == "city":
        for i, top in enumerate((64, 40, 76, 52, 68, 36, 60, 80)):
            rect(16 * i, top, 16 * i + 16 - (i % 2) * 3, 128, colours[1])
    return np.asarray(image.resize((side, side), Image.BOX), np.float32)


def styled(rgb, style):
    """The style's change of colour, on 0..255 values."""
    if style == "pastel":
        return 0.62 * rgb + 0.38 * 255
    if style == "night":
        return rgb * np.array((0.5, 0.52, 0.62), np.float32) + np.array((6, 8, 26), np.float32)
    return rgb


def tone_colours(colour):
    """RGB of every tone of a thing of this colour, (tones, 3)."""
    main = np.array(COLOURS[colour], np.float32)
    table = dict(things.FIXED, main=main, dark=main * 0.66, light=main * 0.5 + 127.5)
    return np.stack([np.asarray(table[t], np.float32) for t in things.TONES])


def paste(picture, name, colour, size, x, y, outlined):
    """Paints one thing with its centre at pixel (x, y); parts outside of the picture are cut off."""
    cover = things.sprite(name, size, outlined)
    half = cover.shape[1] // 2
    side = picture.shape[0]
    top, left = max(0, y - half), max(0, x - half)
    bottom, right = min(side, y + half), min(side, x + half)
    part = cover[:, top - y + half : bottom - y + half, left - x + half : right - x + half]
    under = picture[top:bottom, left:right]
    under *= 1 - part.sum(0)[..., None]
    under += np.einsum("thw,tc->hwc", part, tone_colours(colour))


def paint(scene, side=128):
    """The scene's picture, (side, side, 3) uint8."""
    picture = background_picture(scene.background, side).copy()
    unit = side / 128
    for group in scene.groups:
        for x, y in group.centres:
            size = round(SIZES[group.size] * unit)
            paste(picture, group.thing, group.colour, size, round(x * unit), round(y * unit), scene.style == "outlined")
    return np.clip(np.rint(styled(picture, scene.style)), 0, 255).astype(np.uint8)


def main():
    from captions import caption

    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sheet = Image.new("RGB", (6 * 132, 6 * 132), "white")
    for i in range(36):
        scene = sample_scene(rng)
        print(i, caption(scene, rng))
        sheet.paste(Image.fromarray(paint(scene)), (i % 6 * 132 + 2, i // 6 * 132 + 2))
    sheet.save(sys.argv[1])


if __name__ == "__main__":
    main()
