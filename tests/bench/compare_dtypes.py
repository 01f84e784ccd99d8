#!/usr/bin/env python3
"""How far bf16 pictures are from f32 ones: renders a list with both and prints the PSNR of the pairs in dB.

  tests/bench/compare_dtypes.py PROGRAM LIST [options of diffuse-batch]

PSNR = 10 log10(255^2 / mean squared difference of the 8-bit values). Needs numpy and pillow.
"""

import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy
from PIL import Image


def psnr(a, b):
    error = float(numpy.mean((a.astype(numpy.float64) - b.astype(numpy.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def main():
    program, prompts, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("f32", "bf16"):
            subprocess.run([program, prompts, "--seed", "1", *options, "--dtype", dtype, "--quiet",
                            "--output-dir", f"{folder}/{dtype}"], check=True, stdout=subprocess.DEVNULL)
        values = []
        for path in sorted(pathlib.Path(folder, "f32").glob("*.png")):
            pictures = [numpy.asarray(Image.open(pathlib.Path(folder, d, path.name))) for d in ("f32", "bf16")]
            values.append(psnr(*pictures))
    values.sort()
    print(f"{len(values)} pictures: median {statistics.median(values):.1f} dB, lowest {values[0]:.1f}, "
          f"highest {values[-1]:.1f}, below 30 dB: {sum(v < 30 for v in values)}")


if __name__ == "__main__":
    main()
