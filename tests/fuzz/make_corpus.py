#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets from the files of the tests: make_corpus.py [TARGET ...].

Inputs that fuzzing found lie beside them (long_run.sh, then the program's -merge=1) and stay.
"""
import json
import pathlib
import struct
import sys
import zlib

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "data"


def seeds_of_safetensors():
    for model in ("tiny_sd1", "tiny_sd2"):
        raw = (DATA / f"models/{model}/text_encoder/model.safetensors").read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        yield f"{model}_names", json.dumps(
            {name: {**t, "shape": [0], "data_offsets": [0, 0]} for name, t in list(header.items())[:5] if name != "__metadata__"}
        ).encode() + b"\xff\0\0"
    one = lambda **t: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **t}
    files = {
        "empty": ({}, 0),
        "metadata": ({"__metadata__": {"format": "pt"}, "a": one()}, 24),
        "two": ({"b": one(data_offsets=[24, 48]), "a": one()}, 48),
        "types": ({f"t{i}": one(dtype=d, shape=[8], data_offsets=[8 * i, 8 * i + 8]) for i, d in enumerate(["U8", "I8", "BOOL", "F8_E5M2", "F8_E4M3"])}, 40),
        "wide": ({"h": one(dtype="BF16", shape=[1, 1, 2], data_offsets=[0, 4]), "d": one(dtype="I64", shape=[], data_offsets=[4, 12])}, 12),
        "f4": ({"q": one(dtype="F4", shape=[3, 2], data_offsets=[0, 3])}, 3),
        "hole": ({"a": one(data_offsets=[1, 25])}, 25),
        "overlap": ({"a": one(), "b": one(data_offsets=[23, 47])}, 47),
        "overflow": ({"a": one(shape=[2**62, 4])}, 24),
        "late": ({"a": one(data_offsets=[2**64 - 24, 2**64 - 1])}, 24),
        "rank": ({"a": one(shape=[1] * 65)}, 4),
    }
    for name, (header, size) in files.items():
        yield name, json.dumps(header).encode() + b"\xff" + size.to_bytes(2, "big")
    yield "duplicate", b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}\xff\0\2'
    yield "numbers", b'{"a":{"dtype":"U8","shape":[-1,1e400,1.5],"data_offsets":[0,1,2]}}\xff\0\1'
    yield "deep", b"{" + b'"a":[' * 100
    header = json.dumps({"a": one()}).encode()
    yield "raw", b"R" + len(header).to_bytes(8, "little") + header + bytes(24)
    yield "raw_long", b"R" + (2**63).to_bytes(8, "little") + header
    yield "raw_lfs", b"Rversion https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "raw_html", b"R<!DOCTYPE html><html>"
    yield "raw_pickle", b"R\x80\x02}q\x00."
    yield "raw_short", b"R1234567"


def seeds_of_prompt_lines():
    lists = {
        "plain": b"a cat\na dog\n",
        "no_end": b"a cat\na dog",
        "crlf": b"a cat\r\n\r\na dog\r\n",
        "bom": b"\xef\xbb\xbfa cat\n\xef\xbb\xbfa dog\n",
        "blank": b"\n \t\n\xe3\x80\x80\n",
        "unicode": "caf\u00e9 \u65e5\u672c \U0001f469\u200d\U0001f680 \u202ex\n# tag\n".encode(),
        "bad": b"\xc0\x80\n\xed\xa0\x80\n\xf4\x90\x80\x80\n\xff\na\0b\na\rb\n",
        "utf16": "a cat, a dog, and a long enough line of them all".encode("utf-16"),
        "utf16be": "a cat, a dog, and a long enough line of them all".encode("utf-16-be"),
        "long": b"x" * 300 + b"\nok\n",
        "many": b"p\n" * 12,
        "binary": bytes(range(256)) * 2,
    }
    for name, text in lists.items():
        yield name, b"\x05" + text
        yield name + "_small", b"\x83" + text


def seeds_of_prompt_lists():
    full = {"prompt": "a \u732b", "negative_prompt": "blurry", "seed": 2**64 - 1, "width": 64, "height": 128, "num_inference_steps": 20,
            "guidance_scale": 7.5, "scheduler": "euler_a", "num_images_per_prompt": 2, "name": "cat/../x", "metadata": {"k": [1, None, "x"]}}
    lines = lambda *records: b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)
    wrong = [{"prompt": 1}, {"sead": 1, "prompt": "x"}, {"prompt": "x", "seed": -1}, {"prompt": "x", "width": 0}, {"prompt": " "}, [1], b"{", b"[" * 30]
    wrong += [b'{"prompt":"a","prompt":"b"}', b'{"prompt":"\\ud800"}', b'{"prompt":"\\u0000"}', b'{"prompt":"x","guidance_scale":1e999}', b"\xff"]
    header = b"prompt,negative_prompt,seed,width,height,num_inference_steps,guidance_scale,scheduler,num_images_per_prompt,name,metadata\r\n"
    lists = {
        "jsonl": (1, lines(full, {"prompt": "b"}, b"", {"prompt": "c", "metadata": None})),
        "jsonl_wrong": (1, lines(*wrong)),
        "csv": (2, header + b'a cat,,1,,,,,,,,\r\n"a, ""dog""\nin two lines",x,,64,64,5,1.5,ddim,1,n,m\r\n'),
        "csv_wrong": (2, b'prompt,seed\na,b,c\na"b,1\n"a"b,1\n"open\n'),
        "csv_header": (2, b"promt,seed,seed\na,1\n"),
        "tsv": (3, b"seed\tprompt\n1\ta cat\n2\t\"a\tb\"\n"),
        "webui": (4, b'a cat\n--prompt "a dog" --negative_prompt blurry bad --seed -1 --steps 20 --cfg_scale 7 --sampler_name "Euler a"\n--prompt a b --batch_size 2 --n_iter 3\n'),
        "webui_wrong": (4, b"--prompt it's\na cat --steps 20\n--prompt a --prompt b\n--prompt a --styles x\n--steps\n--prompt a\\\n"),
        "webui_lenient": (5, b"--prompt it's\na cat --steps 20\n--prompt a --n_iter 99999999999999999999\n"),
        "text": (0, b"\xef\xbb\xbfa cat\r\n\n# tag\n\xff\n"),
    }
    for name, (form, text) in lists.items():
        yield name, bytes([form, 7]) + text
        yield name + "_kept", bytes([form, 130]) + text


def seeds_of_tokenizer():
    golden = json.loads((DATA / "tokenizer/golden.json").read_text())
    texts = ["a photo of a cat's hat, it'll rain 1234!", "<|startoftext|>x <|endoftext|>y", "word " * 100]
    texts += ["\u0130\u03a3\u00c9 e\u0301 \u65e5\u672c\u8a9e \u0e01\u0e33 \U0001f469\u200d\U0001f680", "\u1e9b\u0323 \ufb01 \u212b", "\0\x1f\x7f\u00a0\u3000\u2028x"]

    def strings(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                yield from strings(item)

    found = [s for s in strings(golden) if 3 < len(s) < 120]
    texts += found[:: max(1, len(found) // 24)]
    for number, text in enumerate(texts):
        yield f"{number:02}", bytes([number % 4]) + text.encode("utf-8", "surrogatepass")
    yield "invalid", b"\1caf\xe9 \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xff\xfe \xe2\x82"


def seeds_of_tokenizer_files():
    vocabulary = {"<|startoftext|>": 5, "<|endoftext|>": 6, "a": 0, "a</w>": 1, "t</w>": 2, "c": 3, "at</w>": 4}
    merges = "#version: 0.2\na t</w>\n"
    read = lambda *parts: [(DATA / "tokenizer" / p).read_bytes() for p in parts]
    config, special = read("configs/sd1/tokenizer_config.json", "configs/sd1/special_tokens_map.json")
    sd2_config, sd2_special = read("configs/sd2/tokenizer_config.json", "configs/sd2/special_tokens_map.json")
    old_added, old_special, old_config = read(*(f"configs/legacy_added/{n}.json" for n in ("added_tokens", "special_tokens_map", "tokenizer_config")))
    saved = json.loads((DATA / "tokenizer/saved/decoder_added/tokenizer.json").read_text())
    saved["model"]["vocab"] = vocabulary
    saved["model"]["merges"] = [["a", "t</w>"]]
    saved_config = (DATA / "tokenizer/saved/decoder_added/tokenizer_config.json").read_bytes()
    v, m = json.dumps(vocabulary).encode(), merges.encode()
    folders = {
        "sd1": [b"", v, m, config, special, b""],
        "sd2": [b"", v, m, sd2_config, sd2_special, b""],
        "bare": [b"", v, m, b"", b"", b""],
        "old": [b"", v, m, old_config, old_special, old_added],
        "saved": [json.dumps(saved).encode(), b"", b"", saved_config, b"", b""],
        "saved_bare": [json.dumps({**saved, "added_tokens": []}).encode(), b"", b"", b"", b"", b""],
        "both": [json.dumps(saved).encode(), v, m, config, b"", b'{"<x>": 7}'],
        "gaps": [b"", json.dumps({**vocabulary, "z": 2**31 - 1}).encode(), m, b'{"model_max_length": 1e30}', b"", b""],
        "left": [b"", v, m, b'{"padding_side": "left", "model_max_length": 3}', b"", b""],
        "none": [b"", b"", b"", b"{}", b"", b""],
    }
    for name, parts in folders.items():
        yield name, b"\x1e".join(parts)


def record(index, **changes):
    settings = {"negative_prompt": "blurry", "width": 64, "height": 64, "num_inference_steps": 2, "guidance_scale": 7.5,
                "guidance_rescale": 0.0, "eta": 0.0, "clip_skip": -1, "scheduler": "PNDMScheduler", "noise_source": "cpu",
                "noise_grid": None, "dtype": "f32", "device_type": "cpu", "instruction_set": "avx2", "model_fingerprint": "0a"}
    all_keys = {"index": index, "line": index + 1, "status": "ok", "job_hash": "ab", "path": f"{index:06}.png", "sha256": "cd",
                "bytes": 900, "modified": 1700000000000000000, "name": None, "prompt": "a cat", "settings": settings,
                "seed": 2**64 - 1, "error": None, "milliseconds": 12, "rank": 1, "host": "node1", **changes}
    return json.dumps(all_keys, separators=(",", ":"))[:-1].encode() + b"\x1d\n"


def seeds_of_manifest():
    yield "one", record(0)
    yield "unicode", record(7, prompt="\u65e5\u672c </script> \"\\", name="n", note="adopted", metadata={"k": [1, None]})
    yield "wrong", record(-1) + record(2**63) + record(3, bytes=-1) + record(4, rank=2**31) + record(5, status="?") + record(6, settings=1)
    yield "sums", b'{"index":1,"crc32":"00000000"}\n{"index":1,"crc32":"123\n{"index":1,"line":2\x1d\n{"index":1\x1d\n\n\n'
    yield "deep", b'{"index":1,"a":' + b"[" * 100 + b"]" * 100 + b"\x1d\n"
    yield "binary", bytes(range(256))


def seeds_of_manifest_merge():
    failed = {"status": "failed", "path": None, "error": "NaN latents", "sha256": None}
    yield "merge", record(0) + record(2) + b"\x1e" + record(1, **failed) + b"\x1e" + record(1) + record(0, rank=3)
    yield "torn", record(0) + b"\x1e" + record(1)[:-2] + b"\x1e" + record(2)[:100]
    yield "binary", bytes(range(256))


def seeds_of_png():
    header = lambda width, height, depth=8, colour=2: b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = lambda width, height: b"IDAT" + zlib.compress((b"\0" + bytes(range(3 * width))) * height)
    plain = [header(4, 3), rows(4, 3), b"IEND"]
    text = b'{"format":1,"job":{},"job_hash":"00","version":"1"}'
    chunks = {
        "plain": plain,
        "texts": [header(4, 3), b"tEXtparameters\0a caf\xe9", b"iTXtdiffuse-batch\0\0\0\0\0" + text, rows(4, 3), b"IEND"],
        "packed": [header(4, 3), b"iTXtdiffuse-batch\0\1\0\0\0" + zlib.compress(text), b"zTXta\0\0" + zlib.compress(b"x"), *plain[1:]],
        "grey": [header(9, 2, 1, 0), b"IDAT" + zlib.compress(b"\0\xaa\x80" * 2), b"IEND"],
        "after": [*plain, b"tEXta\0b"],
        "no_end": plain[:2],
        "twice": [header(4, 3), *plain],
        "huge": [header(2**31 - 1, 2**31 - 1), *plain[1:]],
        "none": [header(0, 0), *plain[1:]],
    }
    for name, parts in chunks.items():
        yield name, b"\x1e".join(parts)
    yield "raw", b"R\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    yield "zeros", b"R" + bytes(40)
    pictures = DATA.parent.parent / "apps/default_model/contact_sheet.png"
    yield "cut", b"R" + pictures.read_bytes()[:600]


def seeds_of_texts():
    texts = ["a red circle", "</script><script>alert(1)</script>", "<!-- & \u2028 \u2029 -->", "e\u0302\u0323 \u65e5\u672c \U0001f469\u200d\U0001f680"]
    texts += ["word " * 30, "x" * 100, "\0\x1b[31m\u202e\u2066", "\u0e01\u0e33 \u1112\u1161\u11ab \ufb01 \u0130"]
    for number, text in enumerate(texts):
        yield str(number), b"\x15\x03" + text.encode()
    yield "invalid", b"\x08\x02caf\xe9 \xc0\x80 \xed\xa0\x80 \xe2\x80"


def seeds_of_picture_name():
    patterns = ["{index}-{name}", "{slug}-{index}", "{name}", "{seed}_{slug}.{index}", "a.{index}.b", "{index}{seed}", "{index}", "x-{name}{slug}"]
    texts = [b"../../etc/x", b"-rf", b"/abs\0", b"a cat-000002", b"CON", b"\xe6\x97\xa5", b"x" * 300, b"._-", b""]
    for number, pattern in enumerate(patterns):
        name, prompt, other = texts[number], texts[(number + 3) % 9], texts[(number + 5) % 9]
        yield str(number), bytes([0, 1, 0, 2, 0, 2, 0, 1]) + b"\x1e".join([pattern.encode(), name, prompt, other, name])


def main():
    makers = {n.removeprefix("seeds_of_"): f for n, f in globals().items() if n.startswith("seeds_of_")}
    for target in sys.argv[1:] or makers:
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in makers[target]():
            (folder / f"seed_{name}").write_bytes(content)


main()
