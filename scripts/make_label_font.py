#!/usr/bin/env python3
"""Writes core/io/label_font.inc: the letters of contact sheets, from the X11 font misc-fixed 6x13.

  make_label_font.py /usr/share/fonts/X11/misc/6x13.pcf.gz > core/io/label_font.inc

The font's licence, in its COPYRIGHT property and in font-misc-misc/COPYING of Debian's xfonts-base:
"Public domain font.  Share and enjoy."
"""
import gzip
import struct
import sys

WIDTH, HEIGHT = 6, 13
RANGES = [(0x20, 0x7E), (0xA1, 0x17F), (0x192, 0x192), (0x1CD, 0x1DC), (0x1E6, 0x1E9), (0x218, 0x21B), (0x386, 0x3CE),
          (0x400, 0x45F), (0x490, 0x493), (0x1E80, 0x1E85), (0x1EA0, 0x1EF9), (0x2010, 0x2027), (0x2030, 0x203A),
          (0x20AC, 0x20AC), (0x2122, 0x2122), (0x2190, 0x2193), (0x2212, 0x2212), (0x2248, 0x2248), (0x2260, 0x2265)]


def tables(data):
    assert data[:4] == b"\1fcp"
    count = struct.unpack_from("<I", data, 4)[0]
    return {kind: (form, at) for kind, form, _, at in (struct.unpack_from("<IIII", data, 8 + 16 * i) for i in range(count))}


def order(form):
    return ">" if form & 4 else "<"


def copyright_of(data, place):
    form, at = place
    o = order(form)
    count = struct.unpack_from(o + "I", data, at + 4)[0]
    strings = at + 8 + 9 * count + (-9 * count % 4) + 4
    text = lambda offset: data[strings + offset : data.index(b"\0", strings + offset)].decode("latin-1")
    for i in range(count):
        name, is_string, value = struct.unpack_from(o + "IBI", data, at + 8 + 9 * i)
        if is_string and text(name) == "COPYRIGHT":
            return text(value)
    return ""


def glyphs(data):
    where = tables(data)
    assert copyright_of(data, where[1]).startswith("Public domain font"), "another font, another licence"
    form, at = where[4]  # metrics, compressed form: 5 bytes a glyph, each + 0x80
    assert form & 0x100
    count = struct.unpack_from(order(form) + "H", data, at + 4)[0]
    metrics = [[b - 0x80 for b in data[at + 6 + 5 * i : at + 11 + 5 * i]] for i in range(count)]
    form, at = where[8]  # bitmaps
    o, pad, high_bit_first = order(form), 1 << (form & 3), bool(form & 8)
    offsets = struct.unpack_from(f"{o}{count}I", data, at + 8)
    assert struct.unpack_from(o + "I", data, at + 4)[0] == count and high_bit_first
    bits = at + 8 + 4 * count + 16
    form, at = where[32]  # encodings
    o = order(form)
    low, high, first, last, _ = struct.unpack_from(o + "5H", data, at + 4)
    for row in range(first, last + 1):
        for column in range(low, high + 1):
            place = at + 14 + 2 * ((row - first) * (high - low + 1) + column - low)
            glyph = struct.unpack_from(o + "H", data, place)[0]
            if glyph == 0xFFFF:
                continue
            left, right, width, ascent, descent = metrics[glyph]
            assert width == WIDTH and left >= 0 and right <= WIDTH
            cell = [0] * HEIGHT
            for y in range(ascent + descent):
                at_row = bits + offsets[glyph] + y * pad
                cell[11 - ascent + y] = data[at_row] >> (8 - WIDTH) >> left  # the font's ascent is 11
            yield row << 8 | column, cell


def main():
    found = dict(glyphs(gzip.open(sys.argv[1]).read()))
    chosen = sorted(c for low, high in RANGES for c in range(low, high + 1) if c in found)
    print("// X11 misc-fixed 6x13 (\"Public domain font.  Share and enjoy.\"), by scripts/make_label_font.py.")
    print("// {code point, rows 0 to 6, rows 7 to 12}: 6 bits a row, the first row and column highest.")
    entries = []
    for c in chosen:
        pack = lambda rows: sum(bits << 6 * (len(rows) - 1 - i) for i, bits in enumerate(rows))
        entries.append(f"{{0x{c:X},0x{pack(found[c][:7]):X},0x{pack(found[c][7:]):X}}},")
    line = ""
    for entry in entries:
        if len(line) + len(entry) > 100:
            print(line)
            line = ""
        line += entry
    print(line)


main()
