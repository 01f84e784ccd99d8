"""A small CLIP vocabulary: the 256 byte letters, the same at a word's end, and merges learnt from the sentences below."""
import collections
import json
import pathlib

START, END = "<|startoftext|>", "<|endoftext|>"
NUM_MERGES = 360
CORPUS = """
a photo of a red house beside the river in the morning, soft light, highly detailed
a painting of a small boat on the sea at night, oil on canvas, by a famous painter
a cat sitting on a window, watching the rain, warm colours, sharp focus
a photograph of an astronaut riding a horse on the moon, best quality, cinematic lighting
the old lighthouse above the cliffs, storm clouds, dramatic sky, wide angle photograph
a portrait of a woman with green eyes, studio lighting, shallow depth of field
a watercolour painting of mountains and a lake, with trees in the foreground
a drawing of a dragon flying over a castle, concept art, trending, highly detailed
two dogs playing with a yellow ball in the garden, sunny afternoon, photograph
a bowl of fruit on a wooden table, still life, oil painting, dark background
a city street at night, neon signs, reflections on wet ground, cinematic
a blue circle and a red square on a white background, simple, flat colours
a bad picture, blurry, low quality, watermark, text, ugly, worst quality, deformed hands
it's the best picture they've ever seen, don't you think we're sure they'll like it
an apple, an orange, a pear and three green bottles standing on the wall
the train is leaving the station, smoke and steam, black and white photograph
""".strip()


def byte_letters():
    """The byte letters in the vocabulary's order, from the byte table of GPT-2."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def learn_merges(count):
    """Byte pair merges, the most frequent pair first, ties in alphabetical order."""
    text = "".join(c if c.isalpha() else " " for c in CORPUS.lower())
    words = collections.Counter(tuple(w[:-1]) + (w[-1] + "</w>",) for w in text.split())
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = collections.Counter()
        for word, n in words.items():
            out = []
            for token in word:
                if out and (out[-1], token) == best:
                    out[-1] += token
                else:
                    out.append(token)
            joined[tuple(out)] += n
        words = joined
    return merges


def vocabulary():
    """({token: id}, [(left, right), ...])"""
    letters = byte_letters()
    merges = learn_merges(NUM_MERGES)
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + [START, END]
    assert len(set(tokens)) == len(tokens)
    return {token: i for i, token in enumerate(tokens)}, merges


def write_two_files(folder, pad):
    """The layout of transformers 4: vocab.json, merges.txt, special_tokens_map.json, tokenizer_config.json."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocab, merges = vocabulary()

    def special(token):
        return {"content": token, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    names = {"bos_token": special(START), "eos_token": special(END), "unk_token": special(END), "pad_token": pad}
    config = {**{k: {"__type": "AddedToken", **v} if isinstance(v, dict) else v for k, v in names.items()},
              "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77,
              "tokenizer_class": "CLIPTokenizer"}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    text = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
