"""The things of the world, as flat shapes in a square from -1 to 1 (x right, y down).

A thing is a list of layers (tone, kind, points), painted in order. Tones: `main` is the thing's colour, `dark` and
`light` are shades of it, the others are fixed colours of their own. `cut` removes what was painted before.
"""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw

TONES = ("main", "dark", "light", "outline", "ink", "white", "wood", "leaf", "flame")
FIXED = {
    "outline": (25, 25, 30),
    "ink": (40, 40, 48),
    "white": (250, 250, 250),
    "wood": (120, 78, 48),
    "leaf": (70, 160, 60),
    "flame": (250, 150, 40),
}


def _ellipse(x, y, rx, ry=None):
    return ("ellipse", (x, y, rx, rx if ry is None else ry))


def _polygon(*points):
    return ("polygon", points)


def _rect(left, top, right, bottom):
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _ring(count, outer, inner, turn=-math.pi / 2):
    points = []
    for i in range(2 * count):
        radius = outer if i % 2 == 0 else inner
        angle = turn + math.pi * i / count
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return _polygon(*points)


def _heart():
    points = []
    for i in range(64):
        a = 2 * math.pi * i / 64
        x = 16 * math.sin(a) ** 3
        y = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        points.append((x / 17.5, -(y + 2) / 16.5))
    return _polygon(*points)


THINGS = {
    "house": [
        ("main", _rect(-0.7, -0.15, 0.7, 0.92)),
        ("dark", _polygon((-0.98, -0.1), (0, -0.95), (0.98, -0.1))),
        ("ink", _rect(-0.2, 0.3, 0.2, 0.92)),
    ],
    "tree": [("wood", _rect(-0.16, 0.2, 0.16, 0.95)), ("main", _ellipse(0, -0.3, 0.68))],
    "pine": [
        ("wood", _rect(-0.14, 0.5, 0.14, 0.97)),
        ("main", _polygon((0, -0.97), (0.45, -0.3), (-0.45, -0.3))),
        ("main", _polygon((0, -0.6), (0.62, 0.15), (-0.62, 0.15))),
        ("main", _polygon((0, -0.2), (0.78, 0.65), (-0.78, 0.65))),
    ],
    "sun": [("main", _ring(10, 0.98, 0.55)), ("light", _ellipse(0, 0, 0.45))],
    "moon": [("main", _ellipse(0, 0, 0.92)), ("cut", _ellipse(0.42, -0.2, 0.75))],
    "star": [("main", _ring(5, 0.98, 0.42))],
    "cloud": [
        ("main", _ellipse(-0.5, 0.2, 0.46, 0.4)),
        ("main", _ellipse(0.5, 0.2, 0.46, 0.4)),
        ("main", _ellipse(0, -0.12, 0.52, 0.5)),
        ("main", _rect(-0.5, 0.1, 0.5, 0.6)),
    ],
    "mountain": [
        ("dark", _polygon((0.0, 0.8), (0.5, -0.3), (1.0, 0.8))),
        ("main", _polygon((-1.0, 0.8), (-0.22, -0.85), (0.6, 0.8))),
        ("white", _polygon((-0.22, -0.85), (0.02, -0.37), (-0.12, -0.5), (-0.25, -0.33), (-0.45, -0.37))),
    ],
    "boat": [
        ("wood", _rect(-0.08, -0.9, 0.06, 0.4)),
        ("light", _polygon((0.12, -0.85), (0.8, 0.25), (0.12, 0.25))),
        ("light", _polygon((-0.14, -0.65), (-0.14, 0.25), (-0.65, 0.25))),
        ("main", _polygon((-0.98, 0.36), (0.98, 0.36), (0.62, 0.88), (-0.62, 0.88))),
    ],
    "car": [
        ("main", _polygon((-0.55, 0.02), (-0.35, -0.48), (0.35, -0.48), (0.6, 0.02))),
        ("main", _rect(-0.97, -0.02, 0.97, 0.42)),
        ("white", _polygon((-0.4, -0.02), (-0.26, -0.36), (0.26, -0.36), (0.43, -0.02))),
        ("ink", _ellipse(-0.52, 0.42, 0.25)),
        ("ink", _ellipse(0.52, 0.42, 0.25)),
    ],
    "fish": [
        ("dark", _polygon((0.4, 0), (0.97, -0.5), (0.97, 0.5))),
        ("main", _ellipse(-0.22, 0, 0.75, 0.48)),
        ("white", _ellipse(-0.6, -0.1, 0.13)),
        ("ink", _ellipse(-0.62, -0.1, 0.07)),
    ],
    "flower": [("leaf", _rect(-0.07, 0.2, 0.07, 0.97)), ("leaf", _ellipse(0.28, 0.72, 0.24, 0.11))]
    + [("main", _ellipse(0.4 * math.sin(a), -0.3 - 0.4 * math.cos(a), 0.29)) for a in np.arange(5) * 2 * math.pi / 5]
    + [("white", _ellipse(0, -0.3, 0.22))],
    "cat": [
        ("main", _polygon((-0.85, -0.92), (-0.8, 0.1), (-0.1, -0.35))),
        ("main", _polygon((0.85, -0.92), (0.8, 0.1), (0.1, -0.35))),
        ("main", _ellipse(0, 0.18, 0.86, 0.72)),
        ("white", _ellipse(-0.36, 0.08, 0.19)),
        ("white", _ellipse(0.36, 0.08, 0.19)),
        ("ink", _ellipse(-0.36, 0.08, 0.1)),
        ("ink", _ellipse(0.36, 0.08, 0.1)),
        ("ink", _polygon((-0.14, 0.38), (0.14, 0.38), (0, 0.54))),
    ],
    "bird": [
        ("main", _polygon((0.3, 0.1), (0.98, -0.35), (0.95, 0.25))),
        ("flame", _polygon((-0.7, -0.5), (-0.99, -0.32), (-0.66, -0.2))),
        ("main", _ellipse(-0.02, 0.25, 0.62, 0.5)),
        ("main", _ellipse(-0.45, -0.32, 0.36)),
        ("dark", _ellipse(0.18, 0.2, 0.36, 0.24)),
        ("white", _ellipse(-0.52, -0.38, 0.11)),
        ("flame", _rect(-0.2, 0.7, -0.1, 0.96)),
        ("flame", _rect(0.08, 0.7, 0.18, 0.96)),
    ],
    "balloon": [
        ("ink", _rect(-0.035, 0.4, 0.035, 0.98)),
        ("main", _polygon((-0.16, 0.55), (0.16, 0.55), (0, 0.3))),
        ("main", _ellipse(0, -0.28, 0.58, 0.7)),
        ("light", _ellipse(-0.2, -0.52, 0.12, 0.18)),
    ],
    "heart": [("main", _heart())],
    "mushroom": [
        ("white", _polygon((-0.26, 0), (0.26, 0), (0.34, 0.92), (-0.34, 0.92))),
        ("main", _ellipse(0, 0.05, 0.96, 0.95)),
        ("cut", _rect(-1, 0.1, -0.29, 1.05)),
        ("cut", _rect(0.29, 0.1, 1, 1.05)),
        ("white", _rect(-0.29, 0.1, 0.29, 0.92)),
        ("cut", _rect(-0.3, 0.92, 0.3, 1.05)),
        ("white", _ellipse(-0.45, -0.25, 0.16)),
        ("white", _ellipse(0.42, -0.3, 0.18)),
        ("white", _ellipse(0, -0.6, 0.15)),
    ],
    "cactus": [
        ("main", _ellipse(0, -0.7, 0.25)),
        ("main", _rect(-0.25, -0.7, 0.25, 0.95)),
        ("main", _rect(-0.75, 0.12, 0, 0.38)),
        ("main", _rect(-0.82, -0.4, -0.54, 0.38)),
        ("main", _ellipse(-0.68, -0.4, 0.14)),
        ("main", _rect(0, -0.1, 0.75, 0.16)),
        ("main", _rect(0.54, -0.6, 0.82, 0.16)),
        ("main", _ellipse(0.68, -0.6, 0.14)),
    ],
    "umbrella": [
        ("main", _ellipse(0, 0, 0.97, 0.88)),
        ("cut", _rect(-1, 0.02, 1, 1)),
        ("dark", _polygon((-0.33, 0.02), (0, -0.88), (0.33, 0.02))),
        ("ink", _rect(-0.06, 0.02, 0.06, 0.75)),
        ("ink", _ellipse(0.17, 0.73, 0.23)),
        ("cut", _ellipse(0.17, 0.71, 0.11)),
        ("cut", _rect(0.07, 0.4, 0.5, 0.72)),
    ],
    "rocket": [
        ("flame", _polygon((-0.2, 0.6), (0.2, 0.6), (0, 0.98))),
        ("dark", _polygon((-0.3, 0.05), (-0.75, 0.7), (-0.3, 0.6))),
        ("dark", _polygon((0.3, 0.05), (0.75, 0.7), (0.3, 0.6))),
        ("main", _rect(-0.34, -0.42, 0.34, 0.64)),
        ("dark", _polygon((-0.34, -0.4), (0, -0.98), (0.34, -0.4))),
        ("white", _ellipse(0, -0.08, 0.19)),
    ],
    "cup": [
        ("main", _ellipse(0.6, 0.05, 0.37)),
        ("cut", _ellipse(0.6, 0.05, 0.19)),
        ("main", _polygon((-0.85, -0.6), (0.55, -0.6), (0.38, 0.75), (-0.68, 0.75))),
        ("dark", _ellipse(-0.15, -0.6, 0.7, 0.17)),
    ],
    "apple": [
        ("main", _ellipse(-0.3, 0.2, 0.55, 0.65)),
        ("main", _ellipse(0.3, 0.2, 0.55, 0.65)),
        ("wood", _rect(-0.07, -0.8, 0.07, -0.3)),
        ("leaf", _ellipse(0.32, -0.68, 0.28, 0.15)),
    ],
    "circle": [("main", _ellipse(0, 0, 0.85))],
    "square": [("main", _rect(-0.78, -0.78, 0.78, 0.78))],
    "triangle": [("main", _polygon((0, -0.88), (0.95, 0.78), (-0.95, 0.78)))],
}
NAMES = tuple(THINGS)


@functools.lru_cache(maxsize=4096)
def sprite(name, size, outlined):
    """Coverage of each tone per pixel, (len(TONES), n, n) in 0..1, for a thing of `size` pixels; n is even, centred."""
    scale = 8
    half = int(size / 2 + 4)
    high = 2 * half * scale
    label = Image.new("L", (high, high), 0)
    draw = ImageDraw.Draw(label)
    centre, radius = half * scale, size / 2 * scale

    def place(x, y):
        return centre + x * radius, centre + y * radius

    for tone, (kind, points) in THINGS[name]:
        fill = 0 if tone == "cut" else 1 + TONES.index(tone)
        if kind == "polygon":
            draw.polygon([place(x, y) for x, y in points], fill=fill)
        else:
            x, y, rx, ry = points
            draw.ellipse([*place(x - rx, y - ry), *place(x + rx, y + ry)], fill=fill)
    labels = np.asarray(label).copy()
    if outlined:
        labels[_border(labels, max(scale, round(0.05 * size * scale)))] = 1 + TONES.index("outline")
    out = np.zeros((len(TONES), 2 * half, 2 * half), np.float32)
    for i in range(len(TONES)):
        cover = (labels == i + 1).reshape(2 * half, scale, 2 * half, scale)
        out[i] = cover.mean(axis=(1, 3))
    return out


def _border(labels, width):
    """Pixels within `width` outside of the painted ones."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(labels == 0)
    return (distance > 0) & (distance <= width)
