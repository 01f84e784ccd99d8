"""Scenes put into plain English, in varied wording."""

import world

PLURAL = {"cactus": "cactuses", "fish": "fish"}
NUMBER = {2: "two", 3: "three"}
STYLE_WORDS = {
    "flat": ("", "", "", "", "flat style", "in a flat style"),
    "outlined": ("outlined", "outlined style", "drawn with outlines", "with a black outline"),
    "pastel": ("pastel", "in pastel colours", "pastel style"),
    "night": ("night style", "in the dark", "dark night colours"),
}


def _words(group, rng, article=True):
    """For example `a small red house`, `two blue stars`."""
    words = []
    if group.count == 1:
        if group.size == "small":
            words.append(rng.choice(("small", "small", "little")))
        elif rng.random() < 0.3:
            words.append(rng.choice(("big", "large")))
    natural = world.NATURAL[group.thing] == group.colour
    if not (natural and rng.random() < 0.5):
        words.append("gray" if group.colour == "grey" and rng.random() < 0.15 else group.colour)
    if group.count == 1:
        words.append(group.thing)
        return " ".join([("an" if words[0][0] in "aeiou" else "a") if article else "", *words]).strip()
    return " ".join([NUMBER[group.count], *words, PLURAL.get(group.thing, group.thing + "s")])


def _row(place, rng):
    if place == "middle":
        return rng.choice(("", "", " in the middle", " in a row"))
    return rng.choice((f" at the {place}", f" at the {place}", f" near the {place}"))


def _single(groups, rng):
    place = groups[0].place
    text = _words(groups[0], rng)
    if place == "middle":
        return text + rng.choice(("", "", "", " in the middle", " in the centre"))
    if place in ("left", "right"):
        return text + rng.choice((f" on the {place}", f" on the {place} side", f" at the {place}"))
    return text + _row(place, rng)


def _beside(groups, rng):
    a, b = (_words(g, rng) for g in groups)
    return rng.choice(
        (
            f"{a} and {b}",
            f"{a} next to {b}",
            f"{a} on the left and {b} on the right",
            f"{a} on the left, {b} on the right",
            f"{b} on the right and {a} on the left",
            f"{a} to the left of {b}",
            f"{a} left of {b}",
            f"{b} to the right of {a}",
            f"{b} right of {a}",
        )
    )


def _above(groups, rng):
    top, bottom = sorted(groups, key=lambda g: g.place != "top")
    a, b = _words(top, rng), _words(bottom, rng)
    return rng.choice(
        (
            f"{a} above {b}",
            f"{a} above {b}",
            f"{a} over {b}",
            f"{b} below {a}",
            f"{b} under {a}",
            f"{a} at the top and {b} at the bottom",
            f"{b} at the bottom and {a} at the top",
        )
    )


def _three(groups, rng):
    # The size goes without saying when three things share a row.
    a, b, c = (_words(g, rng).replace(" small ", " ").replace(" little ", " ") for g in groups)
    a, b, c = (t if t.split()[1][0] in "aeiou" or not t.startswith("an ") else "a" + t[2:] for t in (a, b, c))
    a, b, c = ("an" + t[1:] if t.startswith("a ") and t[2] in "aeiou" else t for t in (a, b, c))
    return rng.choice(
        (
            f"{a}, {b} and {c}",
            f"{a}, {b} and {c} in a row",
            f"{a} on the left, {b} in the middle and {c} on the right",
            f"{a} on the left, {b} in the middle, {c} on the right",
        )
    )


def caption(scene, rng):
    """One wording of the scene; `rng` is a random.Random."""
    groups = scene.groups
    if scene.kind == "single":
        text = _single(groups, rng)
    elif scene.kind == "many":
        text = _words(groups[0], rng) + _row(groups[0].place, rng)
    else:
        text = {"beside": _beside, "above": _above, "many_above": _above, "three": _three}[scene.kind](groups, rng)
    parts = [text]
    if not (scene.background in world.PLAIN and rng.random() < 0.5):
        parts.append(rng.choice(world.BACKGROUNDS[scene.background][1]))
    glue = rng.choice((" ", ", "))
    text = glue.join(parts)
    style = rng.choice(STYLE_WORDS[scene.style])
    if style:
        text += ", " + style
    if rng.random() < 0.15:
        text = rng.choice(("a picture of ", "a drawing of ")) + text
    return text
