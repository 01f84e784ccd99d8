"""A byte-level BPE vocabulary trained on the captions, in the form that CLIPTokenizer reads.

    python vocabulary.py FOLDER

Every word of the captions becomes one token; any other text falls back to pieces and bytes, so nothing is unknown.
"""

import collections
import json
import os
import random
import re
import sys

import captions
import world

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
# Words that no caption holds but a user may well write; they keep such prompts short.
EXTRA = "the of with and photo image painting cute very some one dog horse person man woman girl boy water sky grass".split()


def byte_letters():
    """GPT-2's table from bytes to printable letters."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


def word_counts(count=30000, seed=5):
    """How often each word occurs in captions."""
    rng = random.Random(seed)
    words = collections.Counter()
    for _ in range(count):
        text = captions.caption(world.sample_scene(rng, held_out=None), rng)
        words.update(re.findall(r"[a-z]+|[^\sa-z]+", text.lower()))
    words.update(dict.fromkeys(EXTRA, 3))
    return words


def train(words):
    """BPE merges, most frequent pair first (ties: alphabetical), until every word is one token."""
    letters = byte_letters()
    table = {}
    for word, n in words.items():
        units = [letters[b] for b in word.encode()]
        table[(*units[:-1], units[-1] + "</w>")] = n
    merges = []
    while True:
        pairs = collections.Counter()
        for units, n in table.items():
            for pair in zip(units, units[1:]):
                pairs[pair] += n
        if not pairs:
            return merges
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        table = {_merge(units, best): n for units, n in table.items()}


def _merge(units, pair):
    out, i = [], 0
    while i < len(units):
        if units[i : i + 2] == pair:
            out.append(units[i] + units[i + 1])
            i += 2
        else:
            out.append(units[i])
            i += 1
    return tuple(out)


def write(folder, length):
    """vocab.json, merges.txt and the two small files beside them; gives the vocabulary's size."""
    os.makedirs(folder, exist_ok=True)
    merges = train(word_counts())
    letters = list(byte_letters().values())
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + [BOS, EOS]
    vocabulary = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
        json.dump(vocabulary, file, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    with open(f"{folder}/special_tokens_map.json", "w", encoding="utf-8") as file:
        json.dump(special, file, indent=2)
    with open(f"{folder}/tokenizer_config.json", "w", encoding="utf-8") as file:
        settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, "do_lower_case": True}
        json.dump({**settings, "add_prefix_space": False, "errors": "replace", **special}, file, indent=2)
    return len(vocabulary)


if __name__ == "__main__":
    print(write(sys.argv[1], 40), "tokens")
