#!/usr/bin/env python3
"""Makes golden runs of the whole pipeline on the tiny models: diffusers, f32, CPU, one generator a picture.

    make_pipeline_goldens.py MODELS_FOLDER OUTPUT_FOLDER      (the tests' copies: tests/data/models tests/data/goldens)

Writes pipeline_cases.json and pipeline_<model>.safetensors with, for each case, <case>.latents (F32, NCHW, as diffusers
returns them) and <case>.pixels (U8, NHWC). Fields of a case: model, scheduler (a name of --scheduler, or null for the
folder's own), scheduler_overrides (put into the folder's configuration before from_config), steps, guidance_scale,
guidance_rescale, eta, clip_skip (as diffusers counts it, 0 = none), prompts, negative_prompt, num_images_per_prompt,
seeds (one a picture, the pictures of a prompt side by side), width, height, file. f64_difference tells how far the
golden latents are from the same run in double precision (largest difference over largest value): what f32 can do here.

Seen with torch 2.15.0, diffusers 0.42.1, transformers 5.23.0.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

import diffusers_runs
from diffusers_runs import SCHEDULERS

CAT = "a cat sitting on a window, warm colours"
PROMPTS = [CAT, "The old lighthouse at 7 o'clock!", ""]
BASE = {"scheduler_overrides": {}, "steps": 6, "guidance_scale": 5.0, "guidance_rescale": 0.0, "eta": 0.0, "clip_skip": 0,
        "prompts": [CAT], "negative_prompt": "", "num_images_per_prompt": 1}


def case(model, name, scheduler, **changes):
    size = {"tiny_sd1": 64, "tiny_sd2": 48, "tiny_lcm": 72}[model]
    made = {"name": f"{model}_{name}", "model": model, "scheduler": scheduler, **BASE, "width": size, "height": size,
            **changes}
    count = len(made["prompts"]) * made["num_images_per_prompt"]
    made.setdefault("seeds", [sum(map(ord, made["name"])) + i for i in range(count)])
    return made


def cases_of_every_model(model):
    made = [case(model, name, name) for name in SCHEDULERS]
    return made + [
        case(model, "own", None, guidance_scale=3.0),
        case(model, "ddim_eta", "ddim", eta=0.7),
        case(model, "dpmpp_order_1", "dpmpp_2m", scheduler_overrides={"solver_order": 1}),
        case(model, "dpmpp_order_3", "dpmpp_2m", scheduler_overrides={"solver_order": 3}, steps=8),
        case(model, "euler_karras", "euler", scheduler_overrides={"use_karras_sigmas": True}),
        case(model, "one_step", "ddim", steps=1),
        case(model, "guidance_off", "ddim", guidance_scale=1.0),
        case(model, "negative", "euler", negative_prompt="blurry, low quality"),
        case(model, "batch", "ddim", prompts=PROMPTS, negative_prompt="ugly"),
        case(model, "batch_ancestral", "euler_a", prompts=PROMPTS),
        case(model, "several_images", "unipc", prompts=PROMPTS[:2], num_images_per_prompt=2, steps=5),
        case(model, "rescale", "ddim", guidance_rescale=0.7),
        case(model, "clip_skip_1", "ddim", clip_skip=1),
        case(model, "clip_skip_2", "euler", clip_skip=2),
        case(model, "long_prompt", "ddim", prompts=["zebra 42 & " * 40]),
        case(model, "large_seed", "ddim", seeds=[2 ** 64 - 1], steps=5),
    ]


def cases_of_one_model():
    zero_snr = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return [
        # Latents of odd size: factor 8 for tiny_sd1 and tiny_lcm, 4 for tiny_sd2.
        case("tiny_sd1", "odd_wide", "ddim", width=72, height=40),
        case("tiny_sd1", "odd_tall", "pndm", width=40, height=56),
        case("tiny_sd1", "odd_thin", "dpmpp_2m", width=8, height=24),
        case("tiny_sd1", "even_batch", "lms", width=32, height=80, prompts=PROMPTS, guidance_scale=1.0),
        case("tiny_sd2", "odd_wide", "ddim", width=36, height=20, prompts=PROMPTS),
        case("tiny_sd2", "odd_tall", "heun", width=28, height=44),
        case("tiny_sd2", "zero_snr", "ddim", scheduler_overrides=zero_snr, guidance_rescale=0.7),
        case("tiny_sd2", "trailing", "euler", scheduler_overrides={"timestep_spacing": "trailing"}),
        case("tiny_sd1", "linspace", "euler_a", scheduler_overrides={"timestep_spacing": "linspace"}),
        case("tiny_sd1", "sample_prediction", "dpmpp_2m", scheduler_overrides={"prediction_type": "sample"}),
        case("tiny_sd2", "thresholding", "dpmpp_2m", scheduler_overrides={"thresholding": True, "sample_max_value": 2.0}),
        case("tiny_sd2", "cosine", "dpmpp_2m", scheduler_overrides={"beta_schedule": "squaredcos_cap_v2"}),
        case("tiny_lcm", "own", None, guidance_scale=8.0, steps=4),
        case("tiny_lcm", "no_guidance", None, guidance_scale=1.0, steps=4),
        case("tiny_lcm", "one_step", "lcm", guidance_scale=8.0, steps=1),
        case("tiny_lcm", "batch", "lcm", guidance_scale=7.5, steps=4, prompts=PROMPTS, negative_prompt="unused"),
        case("tiny_lcm", "odd", "lcm", guidance_scale=8.5, steps=5, width=56, height=24),
        case("tiny_lcm", "ddim", "ddim"),
        case("tiny_lcm", "pndm", "pndm"),
        case("tiny_lcm", "euler_a", "euler_a", prompts=PROMPTS),
    ]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    models, target = map(pathlib.Path, sys.argv[1:])
    torch.set_num_threads(1)
    diffusers_runs.quiet()
    target.mkdir(parents=True, exist_ok=True)
    cases = cases_of_every_model("tiny_sd1") + cases_of_every_model("tiny_sd2") + cases_of_one_model()
    assert len({one["name"] for one in cases}) == len(cases)
    for model in sorted({one["model"] for one in cases}):
        pipe = diffusers_runs.load_pipeline(models / model)
        exact = diffusers_runs.load_pipeline(models / model, torch.float64)
        tensors = {}
        for one in (c for c in cases if c["model"] == model):
            latents = diffusers_runs.denoise(pipe, one)
            pixels = diffusers_runs.decode(pipe, latents)
            one["f64_difference"] = float(f"{diffusers_runs.relative_difference(latents, diffusers_runs.denoise(exact, one)):.1e}")
            one["file"] = f"pipeline_{model}.safetensors"
            tensors[one["name"] + ".latents"] = latents.contiguous()
            tensors[one["name"] + ".pixels"] = torch.from_numpy(pixels).contiguous()
            cut = ((pixels == 0) | (pixels == 255)).mean()
            print(f"{one['name']:32} {tuple(latents.shape)} deviation {latents.std():6.2f}, f64 {one['f64_difference']:.1e}, "
                  f"pixels cut off {cut:.3f}", flush=True)
        save_file(tensors, target / f"pipeline_{model}.safetensors")
    lines = ",\n".join(json.dumps(one) for one in cases)
    (target / "pipeline_cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
