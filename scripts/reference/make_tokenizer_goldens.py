#!/usr/bin/env python3
"""Makes tests/data/tokenizer: a small CLIP vocabulary, tokenizer folders, and what transformers makes of them.

    make_tokenizer_goldens.py OUTPUT_FOLDER

Seen with transformers 5.23.0, tokenizers 0.23.3 and utf8proc 2.8.0 (whose Unicode version, 15.0.0, decides
which code points are "later").
"""
import collections
import ctypes
import ctypes.util
import json
import pathlib
import random
import shutil
import sys
import tempfile
import unicodedata

import tokenizers
import transformers
from tokenizers import Regex, normalizers, pre_tokenizers

START, END = "<|startoftext|>", "<|endoftext|>"
NUM_MERGES = 400
SAMPLES = [
    "A photo of an astronaut riding a horse on Mars, highly detailed, the best quality",
    "Ein schöner Größenwahn über den Flüssen, „Straße“ und Äpfel",
    "Où est l'été à Noël? C'est déjà ça: cœur naïf",
    "El niño comió piñas en Bogotá ¿verdad?",
    "Быстрая коричневая лиса прыгает через ленивую собаку Ёлка",
    "Γρήγορη αλεπού ΟΔΥΣΣΕΥΣ ΣΑΣ ὈΔΥΣΣΕΎΣ",
    "素早い茶色の狐がのろまな犬を飛び越える カタカナ ｶﾀｶﾅ",
    "敏捷的棕色狐狸跳过懒狗，一只猫𠀋𠮷",
    "빠른 갈색 여우가 게으른 개를 뛰어넘는다",
    "الثعلب البني السريع يقفز فوق الكلب الكسول َُِّ",
    "השועל החום המהיר קוֹפֵץ",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है",
    "সব মানুষ স্বাধীনভাবে", "ਸਾਰੇ ਮਨੁੱਖ", "બધા માનવો", "மனிதப் பிறவியினர்", "ప్రతిపత్తిస్వత్వముల", "ಎಲ್ಲಾ ಮಾನವರೂ", "മനുഷ്യരെല്ലാവരും",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดด", "İstanbul'da ılık IŞIK çığ", "Việt Nam đẹp lắm Tiếng Việt",
    "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն ԲԱՐԵՎ և", "ᎣᏏᏲ ᏣᎳᎩ ꭰꭱ", "ខ្មែរ មြန်မာ ລາວ བོད་སྐད", "አማርኛ ትግርኛ", "ᠮᠣᠩᠭᠣᠯ ⲀⲂⲄ ꙀꙂ 𐐀𐐁 𞤀𞤁",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 ⅷ Ⅷ ② ½ ㊿ ٣ ３ 〇 𒐀", "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 ❤️ ☺︎ 🫠 🫨",
    "don't I'LL you've we're she'd it's 'tis ''s 'special rock'n'roll I'M 'S’s ’s 'ſ",
    "http://example.com/a?b=c&d=1_2#frag (best quality:1.3), [masterpiece], {x|y} !!! ... — … a!'s",
]
EXACT = [
    "", " ", "a", "!", "a!", "!!", "Hi! Wow!!", f"a {END} b", f"{START}{END}", f"A{END.upper()}b", f"{START.upper()}!! !{START.upper()}",
    f"é{END}\u0301", f"x{START}y", "<|endoftext|", "<|ENDOFTEXT|", "<|end\u200boftext|>", "<cat-toy> and <Cat-Toy> and <CAT-TOY>!", "<cat<cat-toy>", "<cat-toy<cat-<Cat",
    "new word NEW WORD newword", "e\u0301E\u0301\u0327 e\u0327\u0301", "\u1100\u1161\u11a8\u1100\u1161 \uac00\u11a8", "I\u0307 \u0130 \u0131 i\u0307",
    "\u212b \u2126 \u212a \u1e9e ß ẞ ſ ŉ ǰ ΐ", "\u0958 \u0915\u093c \u2adc \u0344 \U0001d15e", "a\u0301\u1dfa\u0327 a\u1dfa\u0334 \U00011935\U00011930 \U00011938",
    "a\tb\x0bc\x0cd\x1ce\x1ff\x85g\xa0h\u1680i\u2000j\u2028k\u2029l\u202fm\u205fn\u3000o\u200bp\u2060q\ufeffr\u180es", "\x00\x01\x7f\x80\x9f\xad",
    "1234567890 ١٢٣ ⅷⅨ ½² 3D 4k 8K", "a1b2 a_b a-b a.b", "ϴ Σ ς ΑΣ ΑΣ. ǅ ǈ Ǆ ᾳ ᾼ", "🧑🏿‍🚀🧑🏿‍🚀", "#️⃣ *️⃣ 1️⃣", "𝒜𝓑𝔠 ⒶⓐⒷ ＡＢ ａｂ",
    "\ue000\uf8ff\U000f0000\U0010ffff\ufffe\uffff\U0001fffe", "\u0378\u0530\U0003fffd", "word " * 90, "!" * 80, "1" * 80, "é" * 90, "a" * 300,
    "漢字" * 60, "👩‍👩‍👧 " * 30, "the cat " * 37 + "tail", "the cat " * 38, f"{END} " * 80,
]
MARK_PARTNERS = [0x334, 0x93C, 0x3099, 0x94D, 0x5B0, 0x64B, 0x711, 0xE38, 0xEB8, 0xF71, 0x321, 0x31B, 0x31D, 0x302A, 0x300, 0x327, 0x345, 0x315, 0x35C, 0x35D, 0x1D165]


def byte_letters():
    """The byte letters in the vocabulary's order, from the byte table of GPT-2."""
    own = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    return [chr(b) for b in own] + [chr(256 + n) for n in range(256 - len(own))]


def clip_normalizer():
    return normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])


def train_merges(texts):
    """Plain byte-pair training: the most frequent pair, the smallest of equals."""
    empty = transformers.CLIPTokenizer(vocab={START: 0, END: 1}, merges=[]).backend_tokenizer
    words = collections.Counter()
    for text in texts:
        for word, _ in empty.pre_tokenizer.pre_tokenize_str(clip_normalizer().normalize_str(text)):
            words[tuple(word[:-1]) + (word[-1] + "</w>",)] += 1
    merges = []
    while len(merges) < NUM_MERGES:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = collections.Counter()
        for word, count in words.items():
            out, i = [], 0
            while i < len(word):
                if tuple(word[i:i + 2]) == best:
                    out.append("".join(best))
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            joined[tuple(out)] += count
        words = joined
    return merges


def write_json(path, value, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, **kwargs) + "\n", encoding="utf-8")


def write_vocabulary(folder, tokens, merges):
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)}, ensure_ascii=False, separators=(",", ":"))
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def flagged(content, normalized, **kwargs):
    return {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False, **kwargs}


def write_configs(root, end_id):
    """The styles of configuration found in model folders, old to new."""
    typed = {"__type": "AddedToken"}
    old = {"add_prefix_space": False, "bos_token": {**typed, **flagged(START, True)}, "do_lower_case": True,
           "eos_token": {**typed, **flagged(END, True)}, "errors": "replace", "model_max_length": 77, "pad_token": END,
           "tokenizer_class": "CLIPTokenizer", "unk_token": {**typed, **flagged(END, True)}}
    special = {"bos_token": flagged(START, True), "eos_token": flagged(END, True), "pad_token": END, "unk_token": flagged(END, True)}
    write_json(root / "sd1/tokenizer_config.json", old, indent=1)
    write_json(root / "sd1/special_tokens_map.json", special, indent=1)
    write_json(root / "sd2/tokenizer_config.json", old, indent=1)
    write_json(root / "sd2/special_tokens_map.json", {**special, "pad_token": "!"}, indent=1)
    decoder = {str(end_id - 1): flagged(START, True, special=True), str(end_id): flagged(END, True, special=True)}
    new = {"added_tokens_decoder": {"0": flagged("!", False, special=True), **decoder}, "bos_token": START, "eos_token": END,
           "model_max_length": 77, "pad_token": "!", "tokenizer_class": "CLIPTokenizer", "unk_token": END}
    write_json(root / "decoder/tokenizer_config.json", new, indent=1)
    toys = {**new["added_tokens_decoder"], str(end_id + 1): flagged("<cat", True), str(end_id + 2): flagged("<cat-toy>", True),
            str(end_id + 3): flagged("New Word", False, special=True)}
    write_json(root / "decoder_added/tokenizer_config.json", {**new, "added_tokens_decoder": toys, "pad_token": END}, indent=1)
    write_json(root / "legacy_added/tokenizer_config.json", {**old, "model_max_length": 16}, indent=1)
    write_json(root / "legacy_added/special_tokens_map.json", {**special, "additional_special_tokens": ["New Word"]}, indent=1)
    write_json(root / "legacy_added/added_tokens.json", {"<cat-toy>": end_id + 1}, indent=1)


def distinct_lines():
    """Exact cases, the samples in several dresses, and random lines."""
    draw = random.Random(7)
    assigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    lines = list(EXACT)
    for sample in SAMPLES:
        lines += [sample, sample.upper(), unicodedata.normalize("NFD", sample)]
    for _ in range(60):
        lines.append("".join(chr(draw.choice(assigned)) for _ in range(draw.randint(1, 12))))
        lines.append("".join(chr(draw.randint(0, 0x24F)) for _ in range(draw.randint(1, 20))))
        lines.append(" ".join(draw.choice(SAMPLES)[draw.randint(0, 9):draw.randint(10, 30)] for _ in range(3)))
    return lines


class Hash:
    """FNV-1a, 64 bits, over ids; each list is preceded by its length."""

    def __init__(self):
        self.value = 0xCBF29CE484222325

    def add(self, ids):
        for number in [len(ids), *ids]:
            self.value = ((self.value ^ number) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF


def hash_of(tokenizer, texts):
    result = Hash()
    for encoding in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
        result.add(encoding.ids)
    return f"{result.value:016x}"


def code_point_text(c):
    """One code point alone, between letters, among combining marks, and before an accent."""
    return f"{c} a{c}B a\u0301{c}\u0327\u05b0 {c}\u0301"


def utf8proc():
    library = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
    library.utf8proc_unicode_version.restype = ctypes.c_char_p
    assert library.utf8proc_unicode_version() == b"15.0.0"
    return library


def later_code_points():
    """Code points not in Unicode 15.0 that the oracle already knows as letters, numbers, spaces or upper case."""
    library = utf8proc()
    known = pre_tokenizers.Split(Regex(r"[\s\p{L}\p{N}]"), behavior="removed", invert=True)
    lower = normalizers.Lowercase()
    for c in range(0x110000):
        if 0xD800 <= c < 0xE000 or library.utf8proc_category(c) != 0:
            continue
        if known.pre_tokenize_str(chr(c)) or lower.normalize_str(chr(c)) != chr(c):
            yield c


def write_ranges(path, points):
    ranges = []
    for c in points:
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    path.write_text("".join(f"{a:X} {b:X}\n" for a, b in ranges))


def write_code_points(path, tokenizer, later):
    """Lines: first code point, last, hash. Surrogates and `later` are left out."""
    later = set(later)
    with path.open("w") as out:
        first = 0
        while first < 0x110000:
            last = first + (0xFF if first < 0x32000 else 0xFFF)
            points = [c for c in range(first, last + 1) if not 0xD800 <= c < 0xE000 and c not in later]
            out.write(f"{first:X} {last:X} {hash_of(tokenizer, [code_point_text(chr(c)) for c in points])}\n")
            first = last + 1


def write_normalization(path, tokenizer):
    """Lines: kind, hash, code points. M: each mark with each partner, both ways; P: pairs that NFC may compose; H: all jamo."""

    class Property(ctypes.Structure):
        _fields_ = [("category", ctypes.c_int16), ("combining_class", ctypes.c_int16)]

    library = utf8proc()
    library.utf8proc_get_property.restype = ctypes.POINTER(Property)
    marks = [c for c in range(1, 0x110000) if library.utf8proc_get_property(c).contents.combining_class]
    pairs = {(0x11935, 0x11930)}
    for c in range(0x110000):
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            pairs.add((int(parts[0], 16), int(parts[1], 16)))
    pairs = sorted(pairs)
    with path.open("w") as out:
        for at in range(0, len(marks), 32):
            block = marks[at:at + 32]
            texts = []
            for m in block:
                for r in MARK_PARTNERS:
                    texts += [f"a{chr(m)}{chr(r)}", f"a{chr(r)}{chr(m)}"]
            out.write(f"M {hash_of(tokenizer, texts)} {' '.join(f'{m:X}' for m in block)}\n")
        for at in range(0, len(pairs), 32):
            block = pairs[at:at + 32]
            texts = []
            for first, second in block:
                f, s = chr(first), chr(second)
                texts += [f + s, f"{f}\u0334{s}", f"{f}\u0301{s}", f"{f}{s}\u0301", f"{f}\u1dfa{s}"]
            out.write(f"P {hash_of(tokenizer, texts)} {' '.join(f'{f:X} {s:X}' for f, s in block)}\n")
        jamo = [chr(0x1100 + l) + chr(0x1161 + v) + (chr(0x11A7 + t) if t else "") + "\u11a8"
                for l in range(20) for v in range(22) for t in range(29)]
        out.write(f"H {hash_of(tokenizer, jamo)}\n")


def main():
    root = pathlib.Path(sys.argv[1])
    root.mkdir(parents=True, exist_ok=True)
    letters = byte_letters()
    merges = train_merges(SAMPLES)
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges]
    tokens += [START, END]
    assert len(tokens) == len(set(tokens))
    write_vocabulary(root / "vocabulary", tokens, merges)
    write_configs(root / "configs", len(tokens) - 1)

    # A vocabulary without most letters: the unknown token.
    sparse = ["a", "b", "c", "b</w>", "c</w>", "bc</w>", "abc</w>", END, START]
    write_vocabulary(root / "saved/sparse", sparse, [("b", "c</w>"), ("a", "bc</w>")])

    lines = distinct_lines()
    golden = {"made_with": f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}",
              "lines": lines, "ids": {}, "cut": {}, "pad": {}, "max_length": {}}
    loaded = {}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name in ["bare"] + sorted(path.name for path in (root / "configs").iterdir()):
            shutil.copytree(root / "vocabulary", scratch / name)
            if name != "bare":
                shutil.copytree(root / "configs" / name, scratch / name, dirs_exist_ok=True)
            loaded[name] = transformers.CLIPTokenizer.from_pretrained(scratch / name)
        for name in ("sd1", "decoder_added"):
            loaded[name].save_pretrained(scratch / "saved" / name)
            tokenizer = json.loads((scratch / "saved" / name / "tokenizer.json").read_text(encoding="utf-8"))
            write_json(root / "saved" / name / "tokenizer.json", tokenizer, ensure_ascii=False, separators=(",", ":"))
            config = json.loads((scratch / "saved" / name / "tokenizer_config.json").read_text(encoding="utf-8"))
            write_json(root / "saved" / name / "tokenizer_config.json", config, indent=1)
            loaded["saved/" + name] = transformers.CLIPTokenizer.from_pretrained(root / "saved" / name)
        loaded["saved/sparse"] = transformers.CLIPTokenizer.from_pretrained(root / "saved/sparse")

    for name, tokenizer in loaded.items():
        limit = min(tokenizer.model_max_length, 77)
        ids = [tokenizer.encode(line, add_special_tokens=False) for line in lines]
        base = golden["ids"].get("bare")
        golden["ids"][name] = ids if base is None else {str(i): x for i, (x, y) in enumerate(zip(ids, base)) if x != y}
        golden["max_length"][name] = limit
        golden["pad"][name] = tokenizer.pad_token_id
        cut = {}
        for i, line in enumerate(lines):
            padded = tokenizer(line, padding="max_length", max_length=limit, truncation=True)["input_ids"]
            assert padded == ([tokenizer.bos_token_id] + ids[i][:limit - 2] + [tokenizer.eos_token_id]
                              + [tokenizer.pad_token_id] * limit)[:limit]
            if len(ids[i]) > limit - 2:
                cut[str(i)] = tokenizer.decode(ids[i][limit - 2:])
        golden["cut"][name] = cut
    write_json(root / "golden.json", golden, separators=(",", ":"))

    backend = loaded["sd1"].backend_tokenizer
    backend.no_padding()  # both stay switched on after the calls above
    backend.no_truncation()
    later = list(later_code_points())
    write_ranges(root / "later_code_points.txt", later)
    write_code_points(root / "code_points.txt", loaded["sd1"], later)
    write_normalization(root / "normalization.txt", loaded["sd1"])


if __name__ == "__main__":
    main()
