#!/usr/bin/env python3
"""Compares the tokenizer with transformers on lines of mixed-language text, emoji and junk, with CLIP's own vocabulary.

    check_tokenizer.py --merges bpe_simple_vocab_16e6.txt.gz --program build/tests/tools/diffuse-tokenize [--lines 24000]

The merges file is the one that CLIP was published with (plain or gzip). The program is run as `PROGRAM TOKENIZER_DIR`,
once on a folder with vocab.json and merges.txt and once on a folder with tokenizer.json; it reads lines from standard
input and prints the token ids of each. Prints the number of lines that differ; exit status 1 if there is any.

Only code points that this Python's unicodedata knows are drawn (Python 3.11: Unicode 14.0). Seen with transformers 5.23.0.
"""
import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unicodedata

import transformers

from tiny_tokenizer import END, START, byte_letters

NUM_MERGES = 49152 - 256 - 2
SENTENCES = """
a photo of an astronaut riding a horse on mars, highly detailed, 8k, trending on artstation
portrait of a woman, (best quality:1.3), [masterpiece], {{soft light}}, don't, we've, they'll, I'm, she'd, it's, you're
Das Mädchen läuft über die große Straße, während der Bär „Brötchen“ frisst und der Fluß rauscht
Où est passé l'été ? Il a neigé à Noël, le cœur naïf s'est réjoui : « ça va »
El niño pequeño comió piñas en Bogotá, ¿verdad? ¡Qué sueño!
A menina não tem coração, mas o avô põe pão na mesa amanhã
La città è più bella di sera, perché c'è la luna sull'acqua
Stara łódź płynie przez żółte morze, a chłopiec śpi pod dębem
Příliš žluťoučký kůň úpěl ďábelské ódy
Egy kisfiú gyönyörű tűzijátékot nézett a hídról, őszintén örült
Bir kız İstanbul'da ılık çayını içti, ığdır ışığı güçlü
Một con mèo ngồi trên cửa sổ nhìn mưa rơi, màu sắc ấm áp
Быстрая коричневая лиса прыгает через ленивую собаку, ёлки и подъезд
Щедрий вечір, добрий вечір, їжак під ґанком
Γρήγορη αλεπού πηδάει πάνω από το τεμπέλικο σκυλί, ΟΔΥΣΣΕΥΣ και Σίσυφος
素早い茶色の狐がのろまな犬を飛び越える、夕焼けの海辺で、カタカナとｶﾀｶﾅ
敏捷的棕色狐狸跳过懒狗，一只猫坐在窗户上，温暖的颜色
빠른 갈색 여우가 게으른 개를 뛰어넘는다 노을 지는 바닷가에서
الثعلب البني السريع يقفز فوق الكلب الكسول، مَدِينَةٌ جَمِيلَةٌ
השועל החום המהיר קופץ מעל הכלב העצלן, שָׁלוֹם
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है, क़िला
দ্রুত বাদামী শিয়াল অলস কুকুরের উপর লাফ দেয়
விரைவான பழுப்பு நரி சோம்பேறி நாயின் மேல் குதிக்கிறது
สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ ในเมืองที่สวยงาม
ქართული ენა ძალიან ლამაზია მთებში
Արագ շագանակագույն աղվեսը ցատկում է ծույլ շան վրայով
ፈጣን ቡናማ ቀበሮ ሰነፍ ውሻ ላይ ይዘላል
ខ្មែរ សត្វកញ្ជ្រោង မြန်မာ မြေခွေး ລາວ ໝາຈອກ བོད་སྐད་ ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ
http://example.com/a?b=c&d=1_2#frag user@mail.org <b>bold</b> &amp; &lt;x&gt; C:\\dir\\file.txt 1,234.56 $99 50% #tag @me
""".strip().split("\n")
EMOJI = ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "☺︎", "🧑🏿‍🚀", "#️⃣", "1️⃣", "🐈‍⬛", "🎨", "✨", "🔥🔥", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "♥", "™️", "㊗️"]
JUNK = [START, END, "<|endoftext|", "'s", "'S", "'ll", "''t", "\t", "\x0b", "\x0c", "\r", "\x00", "\x1f", "\x7f", "\x85", "\xa0", "\xad",
        "\u180e", "\u2028", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u3000", "İ", "ı", "ẞ", "ſ", "ﬁ", "ǅ", "Ω", "Å", "é", "e\u0301",
        "\u1100\u1161\u11a8", "\u0344", "\u0958", "a\u0327\u0301", "\U0001d400", "\U000e0041", "\ue000", "\uffff", "½", "²", "ⅷ", "٣", "３",
        "…", "—", "!!!", "????", "___", "...", "--", "(((", "a_b", "A.I.", "3D", "4k", "1990s", " ", "  "]


def read_vocabulary(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as f:
        merges = f.read().split("\n")[1:NUM_MERGES + 1]
    letters = byte_letters()
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in merges] + [START, END]
    return {token: i for i, token in enumerate(tokens)}, merges


def make_folders(vocab, merges, root):
    """The same tokenizer in both layouts; returns the oracle and the two folders."""
    oracle = transformers.CLIPTokenizer(vocab=dict(vocab), merges=[tuple(m.split()) for m in merges], model_max_length=77)
    single = root / "tokenizer_json"
    oracle.save_pretrained(single)
    double = root / "vocab_and_merges"
    double.mkdir()
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (single / name).exists():
            (double / name).write_bytes((single / name).read_bytes())
    (double / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (double / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return oracle, [double, single]


class Lines:
    """Random lines of several kinds; never a newline inside."""

    def __init__(self, vocab, seed):
        self.draw = random.Random(seed)
        self.words = [w for sentence in SENTENCES for w in sentence.split()]
        self.known = [t[:-4] for t in vocab if t.endswith("</w>") and t.isascii() and len(t) > 6]
        self.assigned = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs") and c != "\n"]
        self.marks = [c for c in self.assigned if unicodedata.combining(c)]

    def dress(self, text):
        kind = self.draw.randrange(8)
        if kind < 3:
            return (str.upper, str.title, str.swapcase)[kind](text)
        return unicodedata.normalize(("NFC", "NFD", "NFKC", "NFKD")[kind - 3], text) if kind < 7 else text

    def some(self, choices, low, high, between=" "):
        return between.join(self.draw.choice(choices) for _ in range(self.draw.randint(low, high)))

    def line(self):
        kind = self.draw.randrange(9)
        if kind == 0:
            return self.dress(self.draw.choice(SENTENCES))
        if kind == 1:
            return self.dress(self.some(self.words, 1, 25))
        if kind == 2:
            return self.some(self.known, 1, 30, self.draw.choice([" ", ", ", "-", " , "]))
        if kind == 3:
            return self.some(self.known + self.words + EMOJI + JUNK, 1, 15, self.draw.choice(["", " "]))
        if kind == 4:
            return self.some(self.assigned, 1, 15, "")
        if kind == 5:
            return self.some(EMOJI + JUNK, 1, 20, self.draw.choice(["", " ", "a"]))
        if kind == 6:
            return "".join(chr(self.draw.choice([*range(10), *range(11, 0x250)])) for _ in range(self.draw.randint(0, 30)))
        if kind == 7:
            return "".join(self.draw.choice("aeioué가ア中") + self.some(self.marks, 0, 4, "") for _ in range(8))
        sentence = self.draw.choice(SENTENCES)
        start = self.draw.randrange(len(sentence))
        return sentence[start:] + self.draw.choice(JUNK) + sentence[:start] * self.draw.randint(0, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--merges", type=pathlib.Path, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--lines", type=int, default=24000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    vocab, merges = read_vocabulary(arguments.merges)
    source = Lines(vocab, arguments.seed)
    lines = [source.line() for _ in range(arguments.lines)]
    data = "".join(line + "\n" for line in lines).encode("utf-8")
    bad = 0
    with tempfile.TemporaryDirectory() as root:
        oracle, folders = make_folders(vocab, merges, pathlib.Path(root))
        wanted = [" ".join(map(str, ids)) for ids in oracle(lines, truncation=True, max_length=77).input_ids]
        for folder in folders:
            start = time.monotonic()
            done = subprocess.run([arguments.program, str(folder)], input=data, stdout=subprocess.PIPE, check=True)
            got = done.stdout.decode("ascii").split("\n")[:-1]
            wrong = [i for i in range(len(lines)) if i >= len(got) or got[i] != wanted[i]]
            print(f"{folder.name}: {len(lines)} lines, {len(data)} bytes, {sum(w.count(' ') + 1 for w in wanted)} tokens, "
                  f"{len(wrong)} lines differ, {time.monotonic() - start:.1f} s")
            for i in wrong[:5]:
                print(f"  line {i + 1}: {lines[i]!a}\n    transformers {wanted[i]}\n    here         {(got + [''] * len(lines))[i]}")
            bad += len(wrong) + abs(len(got) - len(lines))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
