#!/usr/bin/env python3
"""Makes the golden data of prompt weighting: prompts in the web UI's syntax, their pieces, chunks and hidden states, f32.

    make_weighting_goldens.py MODELS_FOLDER OUTPUT_FOLDER      (the tests' copies: tests/data/models tests/data/goldens)

Writes OUTPUT_FOLDER/weighting_<model>.json (prompt; pieces [text, weight, is_break]; chunks [ids, weights]) and
OUTPUT_FOLDER/weighting_<model>.safetensors (prompt.<i>: [77 chunks, hidden], final layer norm applied).
Written from the web UI's published rules: weights multiply the rows of the text encoder's output, and the chunk is rescaled so
that its mean is what it was. Two rules are ours: BREAK inside brackets closes a chunk too, and a weight that is no number is text.
Seen with torch 2.15.0, transformers 5.23.0.
"""
import json
import pathlib
import re
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

LONG = ", ".join(f"a small {colour} {thing}" for colour in ("red", "blue", "green", "grey") for thing in
                 ("cat", "house", "tree", "boat", "hill"))
PROMPTS = [
    "", "a cat", "(a cat)", "[a cat]", "a (red:1.3) cat", "a ((red)) [[cat]]", "((a:1.2) b:0.5) c", "(a [b (c:2) d] e",
    r"\(a\) \[b\] \\ c\d (x\):1.5)", "a) b] c", "(a:) b", "(a:x) b", "(a:1.2.3) b", "(a: 1.2 ) b", "(a:+1.5)(b:-0.5)", "(a:.5) (b:2.)",
    "[a:1.5] b", "a:1.5) b", "(a:b:1.5) c", "([a)b]", "()", "([", "(((((deep)))))", "a BREAK b", "a BREAK BREAK b", "BREAK",
    "(a BREAK b:1.4) c", "a BREAKS b", "xBREAK y", "a\tBREAK\n b", "(\u30ab\u30d5\u30a7 caf\u00e9:1.2) \u3010x\u3011", "(a:0) b", LONG, f"({LONG}:1.1)",
    "cat " * 200, "cat " * 70 + ", " + "dog " * 10, "cat " * 50 + ", " + "dog " * 40, "cat " * 75, "cat " * 75 + ",", "cat " * 76,
    "(cat " * 3 + "x " * 80,
]
OPENING, CLOSING = {"(": 1.1, "[": 1 / 1.1}, {")": "(", "]": "["}


def pieces_of(prompt):
    """[[text, weight, is_break]]: a list of characters with weights first, joined afterwards."""
    marks = []                            # [text, weight, kind], kind "text" or "escaped"
    opened = {"(": [], "[": []}           # positions in marks

    def multiply(bracket, factor):
        for mark in marks[opened[bracket].pop():]:
            mark[1] *= factor

    at = 0
    while at < len(prompt):
        rest = prompt[at:]
        weight = re.match(r":\s*([+-]?[.\d]+)\s*\)", rest)
        if weight:
            try:
                float(weight[1])
            except ValueError:
                weight = None
        if rest[0] == "\\":
            escaped = rest[1:2] if rest[1:2] in tuple("()[]\\") else ""
            marks.append([escaped, 1.0, "escaped"])
            at += 1 + len(escaped)
        elif rest[0] in OPENING:
            opened[rest[0]].append(len(marks))
            marks.append(["", 1.0, "escaped"])
            at += 1
        elif weight and opened["("]:
            multiply("(", float(weight[1]))
            marks.append(["", 1.0, "escaped"])
            at += weight.end()
        elif rest[0] in CLOSING and opened[CLOSING[rest[0]]]:
            multiply(CLOSING[rest[0]], OPENING[CLOSING[rest[0]]])
            marks.append(["", 1.0, "escaped"])
            at += 1
        else:
            marks.append([rest[0], 1.0, "text"])
            at += 1
    for bracket in "([":
        while opened[bracket]:
            multiply(bracket, OPENING[bracket])

    runs = []                             # text between brackets and escapes, where BREAK is looked for
    for text, weight, kind in marks:
        if kind == "text" and runs and runs[-1][2] == "text":
            runs[-1][0] += text
        else:
            runs.append([text, weight, kind])
    pieces = []
    for text, weight, kind in runs:
        parts = re.split(r"\s*\bBREAK\b\s*", text) if kind == "text" else [text]
        for i, part in enumerate(parts):
            if i:
                pieces.append(["", 1.0, True])
            if part:
                if pieces and not pieces[-1][2] and pieces[-1][1] == weight:
                    pieces[-1][0] += part
                else:
                    pieces.append([part, weight, False])
    return pieces


def chunks_of(pieces, tokenizer):
    """[[ids, weights]] of 77 each."""
    comma = tokenizer(",", add_special_tokens=False).input_ids
    assert len(comma) == 1
    chunks, ids, weights = [], [], []

    def close(count):
        pad = 75 - count
        chunks.append([[tokenizer.bos_token_id, *ids[:count], tokenizer.eos_token_id] + [tokenizer.pad_token_id] * pad,
                       [1.0, *weights[:count], 1.0] + [1.0] * pad])
        del ids[:count], weights[:count]

    for text, weight, is_break in pieces:
        if is_break:
            close(len(ids))
            continue
        for token in tokenizer(text, add_special_tokens=False, truncation=False).input_ids:
            if len(ids) == 75:
                near = [i for i in range(75 - 20, 75) if ids[i] == comma[0]]
                close(near[-1] + 1 if near and token != comma[0] else 75)
                if len(ids) == 75:
                    close(75)
            ids.append(token)
            weights.append(weight)
    if ids or not chunks:
        close(len(ids))
    return chunks


@torch.no_grad()
def hidden_states(chunks, network):
    out = []
    for ids, weights in chunks:
        rows = network(torch.tensor([ids])).last_hidden_state[0]
        if any(w != 1 for w in weights):
            before = rows.double().mean()
            rows = rows * torch.tensor(weights)[:, None]
            rows = rows * (before / rows.double().mean()).float()
        out.append(rows)
    return torch.cat(out)


def main():
    torch.set_num_threads(1)
    models, output = map(pathlib.Path, sys.argv[1:3])
    for model in ("tiny_sd1", "tiny_sd2"):
        tokenizer = CLIPTokenizer.from_pretrained(models / model / "tokenizer")
        network = CLIPTextModel.from_pretrained(models / model / "text_encoder", dtype=torch.float32).eval()
        cases, tensors = [], {}
        for i, prompt in enumerate(PROMPTS):
            pieces = pieces_of(prompt)
            chunks = chunks_of(pieces, tokenizer)
            cases.append({"prompt": prompt, "pieces": pieces, "chunks": chunks})
            if len(chunks) < 3 and i % 3 == 0:  # enough of them
                tensors[f"prompt.{i}"] = hidden_states(chunks, network).contiguous()
        (output / f"weighting_{model}.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
        save_file(tensors, output / f"weighting_{model}.safetensors")
        print(model, len(cases), "prompts,", sum(len(c["chunks"]) for c in cases), "chunks")


if __name__ == "__main__":
    main()
