#!/usr/bin/env python3
"""Renders the same pictures with diffuse-batch and with diffusers, and prints how far apart they are.

  compare_with_diffusers.py --program build/apps/diffuse-batch tests/data/models/tiny_sd1 tests/data/models/tiny_sd2
  compare_with_diffusers.py --program build/apps/diffuse-batch --full-size sd15 --work /tmp/compare
  compare_with_diffusers.py --program build/apps/diffuse-batch --full-size sd21 --work /tmp/compare

The first form goes through every scheduler in f32, and through guidance off, a negative prompt, batch 1 and a size with
odd latents. --full-size makes a model of random weights with the shapes of SD 1.5 (512x512) or SD 2.1 (768x768), and
compares two steps in f32, and the errors of bf16 and f16 of both programs against diffusers' f32 (8 GB of memory, some
minutes). On a machine with a GPU, --half-device cuda runs diffusers' bf16 and f16 there; its f32, the truth, is the CPU's.
What diffusers made is kept in --work, and used again by the next comparison.

Columns: the largest difference of the final latents over their largest value; the largest difference of 8-bit pixels,
in grey levels; the share of values that differ. Bars: latents 1e-5 (full size 2e-5), one grey level in at most 0.1 % of
values (12 values in small pictures), RMS error at most 1.25 (bf16) or 1.1 (f16) times that of diffusers. Exit status 1 if one is
exceeded. Needs torch, diffusers, transformers, accelerate, pillow. Seen with diffusers 0.42.1, torch 2.15.0.
"""
import argparse
import gc
import hashlib
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "reference"))
import diffusers_runs  # noqa: E402

PROMPTS = ["a cat sitting on a window, warm colours", "The old lighthouse at 7 o'clock!", "zebra 42 & 3/4, very very detailed"]
FULL_SIZE = {"sd15": ["make_random_sd15_ldm.py", "--layout", "diffusers"], "sd21": ["make_random_sd21.py"]}
SAME_VALUES, SMALL_PICTURE_VALUES = 1e-3, 12
HALVES = {"bf16": (torch.bfloat16, 1.25), "f16": (torch.float16, 1.1)}


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def default_case(folder, arguments):
    """The settings of a run of this model; width and height in pixels."""
    factor = 2 ** (len(read_json(folder / "vae/config.json")["block_out_channels"]) - 1)
    size = read_json(folder / "unet/config.json")["sample_size"] * factor
    return factor, {
        "scheduler": arguments.scheduler[0], "steps": arguments.steps, "guidance_scale": arguments.guidance_scale,
        "negative_prompt": "", "prompts": PROMPTS, "seeds": [arguments.seed + i for i in range(len(PROMPTS))],
        "width": arguments.width or size, "height": arguments.height or size, "batch_size": len(PROMPTS)}


def cases_of(folder, arguments):
    """(what the table calls it, settings) for each run."""
    factor, base = default_case(folder, arguments)
    for name in arguments.scheduler:
        yield name, {**base, "scheduler": name}
    yield "guidance off", {**base, "guidance_scale": 1.0}
    yield "negative prompt", {**base, "negative_prompt": "blurry, low quality"}
    yield "batch 1", {**base, "batch_size": 1}
    cells = [base["width"] // factor, base["height"] // factor]
    yield "odd latents", {**base, "width": (cells[0] // 2 * 2 + 1) * factor, "height": max(1, cells[1] // 2 * 2 - 1) * factor}


class Reference:
    """diffusers' latents and pixels of a run, kept in a folder; at most one pipeline is in memory."""

    def __init__(self, work, half_device):
        self.work, self.half_device, self.loaded, self.pipe = work / "diffusers", half_device, None, None
        self.work.mkdir(parents=True, exist_ok=True)

    def release(self):
        self.loaded = self.pipe = None
        gc.collect()

    def run(self, folder, case, dtype):
        weights = [[str(f.relative_to(folder)), f.stat().st_size] for f in sorted(folder.rglob("*")) if f.is_file()]
        device = "cpu" if dtype == torch.float32 else self.half_device
        names = [str(folder.resolve()), weights, {k: v for k, v in case.items() if k != "batch_size"}, str(dtype), device]
        path = self.work / (hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16] + ".safetensors")
        if not path.exists():
            if self.loaded != (folder, dtype):
                self.release()
                self.loaded, self.pipe = (folder, dtype), diffusers_runs.load_pipeline(folder, dtype, device)
            latents = diffusers_runs.denoise(self.pipe, case)
            pixels = torch.from_numpy(diffusers_runs.decode(self.pipe, latents))
            save_file({"latents": latents.float().cpu().contiguous(), "pixels": pixels.contiguous()}, path)
        kept = load_file(path)
        return kept["latents"], kept["pixels"].numpy()


class Program:
    """Our latents and pixels of a run: the program is run twice, once for each kind of output."""

    def __init__(self, arguments):
        self.command = shlex.split(arguments.launcher) + [arguments.program] + shlex.split(arguments.extra)

    def files(self, options, lines, output, suffix):
        """Runs the program on a list of these lines; returns the files that it wrote, in order."""
        output.mkdir()
        (output / "list.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        command = self.command + options + ["--output-dir", str(output / "out"), str(output / "list.txt")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        found = sorted((output / "out").glob("*" + suffix)) if (output / "out").exists() else []
        if done.returncode or len(found) != len(lines):
            sys.exit(f"{shlex.join(command)}\ngave exit status {done.returncode} and {len(found)} of {len(lines)} files:\n"
                     f"{done.stderr[-2000:]}")
        return found

    def run(self, folder, case, dtype, decode_only=False):
        """decode_only: the pictures are decoded from the latents of the first run, which saves a second loop."""
        model = ["--model", str(folder), "--dtype", dtype, "--batch-size", str(case["batch_size"])]
        settings = ["--scheduler", case["scheduler"], "--num-inference-steps", str(case["steps"]),
                    "--guidance-scale", str(case["guidance_scale"]), "--negative-prompt", case["negative_prompt"],
                    "--seed", str(case["seeds"][0]), "--width", str(case["width"]), "--height", str(case["height"])]
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            latents = self.files(model + settings + ["--output-type", "latent"], case["prompts"], root / "a", ".safetensors")
            options, lines = (["--input-type", "latent"], latents) if decode_only else (settings, case["prompts"])
            pictures = self.files(model + options, [str(line) for line in lines], root / "b", ".png")
            latents = [load_file(f)["latents"] for f in latents]
            pictures = [np.asarray(Image.open(f).convert("RGB")) for f in pictures]
        return torch.cat([one if one.dim() == 4 else one.unsqueeze(0) for one in latents]), np.stack(pictures)


def judge(label, ours, theirs, bar):
    """Prints one row of the table; returns whether it is within the bars."""
    if ours[0].shape != theirs[0].shape or ours[1].shape != theirs[1].shape:
        print(f"{label} shapes differ: {tuple(ours[0].shape)} {ours[1].shape} and {tuple(theirs[0].shape)} {theirs[1].shape}")
        return False
    latents = diffusers_runs.relative_difference(*(pair[0] for pair in (ours, theirs)))
    levels = np.abs(ours[1].astype(int) - theirs[1].astype(int))
    values = [int((picture > 0).sum()) for picture in levels]
    allowed = max(SMALL_PICTURE_VALUES, SAME_VALUES * levels[0].size)
    good = latents <= bar and levels.max() <= 1 and max(values) <= allowed
    share = 100 * sum(values) / levels.size
    print(f"{label} {latents:10.1e} {levels.max():8d} {share:10.4f} %   {'' if good else 'TOO FAR'}", flush=True)
    return good


def rms(a, b):
    return float(np.sqrt(np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)))


def judge_half(label, dtype, ours, theirs, exact):
    """The errors of both programs in bf16 or f16 against diffusers' f32, latents and 8-bit pixels."""
    good = True
    for what, mine, other, truth in zip(("latents", "pixels"), ours, theirs, exact):
        mine, other = rms(mine, truth), rms(other, truth)
        within = mine <= HALVES[dtype][1] * other
        print(f"{label} {dtype} {what}: RMS error {mine:.3e}, diffusers {other:.3e}, ratio {mine / other:.3f} "
              f"{'' if within else 'TOO FAR'}", flush=True)
        good = good and within
    return good


def compare_models(arguments, reference, program):
    good = True
    print(f"{'':16} {'':18} {'latents':>10} {'levels':>8} {'differ':>10}")
    for folder in arguments.model:
        for name, case in cases_of(folder, arguments):
            label = f"{folder.resolve().name:16} {name:18}"
            theirs = reference.run(folder, case, torch.float32)
            if program:
                good = judge(label, program.run(folder, case, "f32"), theirs, arguments.bar or 1e-5) and good
    return good


def compare_full_size(arguments, reference, program, work):
    good = True
    for kind in arguments.full_size:
        folder = work / f"random_{kind}"
        if not (folder / "model_index.json").exists():
            script, *options = FULL_SIZE[kind]
            merges = ["--clip-merges", arguments.clip_merges] if arguments.clip_merges else []
            subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name(script)), *options, *merges, str(folder)],
                           check=True, stdout=subprocess.DEVNULL)
        _, case = default_case(folder, arguments)
        case.update(prompts=PROMPTS[:1], seeds=[arguments.seed], batch_size=1, steps=2)
        mine = {dtype: program.run(folder, case, dtype, True) for dtype in arguments.dtype} if program else {}
        exact = reference.run(folder, case, torch.float32)
        halves = [dtype for dtype in arguments.dtype if dtype in HALVES]
        theirs = {dtype: reference.run(folder, case, HALVES[dtype][0]) for dtype in halves}
        reference.release()
        if "f32" in mine:
            good = judge(f"{kind:16} {case['scheduler']:18}", mine["f32"], exact, arguments.bar or 2e-5) and good
        for dtype in halves if program else []:
            good = judge_half(kind, dtype, mine[dtype], theirs[dtype], exact) and good
    return good


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", type=pathlib.Path, help="model folders, diffusers layout")
    parser.add_argument("--program", help="the built diffuse-batch; without it only diffusers runs, and its results are kept")
    parser.add_argument("--launcher", default="", help="put before the program, for example 'mpirun -np 2'")
    parser.add_argument("--extra", default="", help="more options for the program")
    parser.add_argument("--full-size", choices=sorted(FULL_SIZE), nargs="+", default=[])
    parser.add_argument("--dtype", choices=("f32", "bf16", "f16"), nargs="+", default=["f32", "bf16"],
                        help="of --full-size")
    parser.add_argument("--half-device", default="cpu", help="where diffusers runs in bf16 and f16: cpu or cuda")
    parser.add_argument("--work", type=pathlib.Path, help="keeps models and diffusers' results (default: nothing is kept)")
    parser.add_argument("--scheduler", choices=sorted(diffusers_runs.SCHEDULERS), nargs="+",
                        default=list(diffusers_runs.SCHEDULERS), help="default: all; full size takes the first")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--guidance-scale", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--width", type=int)
    parser.add_argument("--height", type=int)
    parser.add_argument("--bar", type=float, help="instead of the bar for latents")
    parser.add_argument("--clip-merges", help="CLIP's published merges for the tokenizer of the full-size models")
    parser.add_argument("--torch-threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if not arguments.model and not arguments.full_size:
        parser.error("a model folder or --full-size is needed")
    if not arguments.program and not arguments.work:
        parser.error("without --program there is only something to do with --work")
    return arguments


def main():
    arguments = parse()
    torch.set_num_threads(arguments.torch_threads)
    diffusers_runs.quiet()
    program = Program(arguments) if arguments.program else None
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or pathlib.Path(temporary)
        reference = Reference(work, arguments.half_device)
        good = compare_models(arguments, reference, program) if arguments.model else True
        good = compare_full_size(arguments, reference, program, work) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
