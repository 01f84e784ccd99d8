#!/usr/bin/env python3
"""Write a random-weight Stable Diffusion 1.5 checkpoint for timing and loader tests.

No model weights are downloaded and none are needed: every tensor has the shape
and the name of the real model and holds scaled random numbers, so a renderer
does the real amount of work and gives a finite (meaningless) picture.

  make_random_sd15_ldm.py OUT.safetensors             single-file (LDM / "original") layout
  make_random_sd15_ldm.py --layout diffusers OUTDIR   unet/ vae/ text_encoder/ tokenizer/ directory layout
  make_random_sd15_ldm.py --list                      print name, dtype, shape; write nothing

Both layouts hold the same numbers for the same --seed, so a loader that reads
both must give the same picture from both.  --size tiny keeps every UNet and VAE
name and block and two CLIP layers at a tenth of the width (17e6 parameters,
34 MB in f16, for tests; programs that know models by their widths refuse it).

Needs python >= 3.8 and nothing else.  Full size: 1.07e9 parameters, 2.13 GB in
f16, about 10 s and under 300 MB of memory to write.
"""
import argparse
import array
import json
import math
import os
import random
import signal
import struct
import sys
import zlib

from random_sd_folder import write_configs, write_tokenizer
from sd15_tensors import Config, clip, unet, unet_to_diffusers, vae, vae_to_diffusers

POOL = 65521  # prime, so that no row length divides the period


class Pools:
    """One pool of POOL normal numbers per standard deviation, already encoded."""

    def __init__(self, seed, dtype):
        rnd = random.Random(seed)
        self.base = [max(-3.5, min(3.5, rnd.gauss(0.0, 1.0))) for _ in range(POOL)]
        self.fmt = "e" if dtype == "F16" else "f"
        self.size = 2 if dtype == "F16" else 4
        self.dtype, self.cache = dtype, {}

    def encode(self, values):
        if self.dtype == "BF16":
            a = array.array("I")
            a.frombytes(struct.pack(f"<{len(values)}f", *values))
            return struct.pack(f"<{len(values)}H",
                               *[((v + 0x7FFF + ((v >> 16) & 1)) >> 16) & 0xFFFF for v in a])
        return struct.pack(f"<{len(values)}{self.fmt}", *values)

    def pool(self, std):
        key = round(std, 9)
        if key not in self.cache:
            self.cache[key] = self.encode([std * v for v in self.base])
        return self.cache[key]


    def near_one(self):
        if "one" not in self.cache:
            self.cache["one"] = self.encode([1.0 + 0.1 * v for v in self.base])
        return self.cache["one"]


def elem_size(dtype):
    return 4 if dtype == "F32" else 2


def write_tensor(f, pools, ident, shape, kind, fan_in):
    n = math.prod(shape)
    size = elem_size(pools.dtype)
    if kind == "zero":  # biases: small, not zero, so that a dropped or misplaced one shows
        pool = pools.pool(0.02)
    elif kind == "one":  # norm scales: near one, all different
        pool = pools.near_one()
    if kind in ("zero", "one"):
        start = zlib.crc32(ident.encode()) % (POOL - n)
        f.write(pool[start * size:(start + n) * size])
        return
    std = 0.02 if kind == "emb" else 0.7 / math.sqrt(fan_in)
    pool = pools.pool(std)
    start = zlib.crc32(ident.encode()) % POOL
    f.write(pool[start * size:start * size + min(n, POOL - start) * size])
    n -= min(n, POOL - start)
    block = pool * 16
    while n >= POOL * 16:
        f.write(block)
        n -= POOL * 16
    f.write(block[:n * size])


def write_safetensors(path, tensors, pools):
    """tensors: (stored name, stored shape, identity, kind, fan_in), written in this order."""
    header, pos = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _, _, _ in tensors:
        n = math.prod(shape) * elem_size(pools.dtype)
        header[name] = {"dtype": pools.dtype, "shape": list(shape), "data_offsets": [pos, pos + n]}
        pos += n
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # keep the data 8-byte aligned, as the reference writer does
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for _, shape, ident, kind, fan_in in tensors:
            write_tensor(f, pools, ident, shape, kind, fan_in)
    return pos


def main():
    ap = argparse.ArgumentParser(description="random-weight SD 1.5 checkpoint")
    ap.add_argument("out", nargs="?", help="file, or folder with --layout diffusers")
    ap.add_argument("--layout", choices=("ldm", "diffusers"), default="ldm")
    ap.add_argument("--dtype", choices=("F16", "BF16", "F32"), default="F16")
    ap.add_argument("--size", choices=("full", "tiny"), default="full")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--tokenizer", metavar="DIR",
                    help="write the tokenizer files there (default with --layout diffusers: OUT/tokenizer)")
    ap.add_argument("--clip-merges", metavar="FILE",
                    help="CLIP's published merges (bpe_simple_vocab_16e6.txt.gz); without them the vocabulary is letters and fillers")
    ap.add_argument("--list", action="store_true", help="print the tensors and stop")
    a = ap.parse_args()
    if sys.byteorder != "little":
        sys.exit("this writer assumes a little-endian machine")
    cfg = Config(a.size)
    u, ren = unet(cfg)
    parts = {
        "unet": [(unet_to_diffusers(n, ren), s, n, k, fi) for n, s, k, fi in u],
        "vae": [],
        "text_encoder": [(n[len("cond_stage_model.transformer."):], s, n, k, fi)
                         for n, s, k, fi in clip(cfg)],
    }
    for n, s, k, fi in vae(cfg):
        dn, ds = vae_to_diffusers(n, s)
        parts["vae"].append((dn, ds, n, k, fi))
    if a.layout == "ldm":
        single = [(n, s, n, k, fi) for n, s, k, fi in u + vae(cfg) + clip(cfg)]
        groups = [(a.out, single)]
    else:
        groups = []
        for d, t in parts.items():
            file = "model.safetensors" if d == "text_encoder" else "diffusion_pytorch_model.safetensors"
            groups.append((os.path.join(a.out or "", d, file), t))
    if a.list:
        for path, t in groups:
            for n, s, _, _, _ in t:
                print(f"{n}\t{a.dtype}\t{list(s)}")
        return
    if not a.out:
        ap.error("OUT is needed")
    pools = Pools(a.seed, a.dtype)
    for path, t in groups:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        size = write_safetensors(path, t, pools)
        count = sum(math.prod(s) for _, s, _, _, _ in t)
        print(f"{path}: {len(t)} tensors, {count} parameters, {size} data bytes")
    if a.layout == "diffusers":
        write_configs(a.out, cfg)
    if a.layout == "diffusers" or a.tokenizer:
        write_tokenizer(a.tokenizer or os.path.join(a.out, "tokenizer"), a.clip_merges)


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # so that `--list | head` ends quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
