#!/usr/bin/env python3
"""Writes the golden data of tests/unit/schedulers from diffusers: timesteps, input scales and the
samples of whole loops with a dummy model, for schedulers x options, each loaded the way
StableDiffusionPipeline loads it and exchanged with from_config where a flag is given.

usage: make_scheduler_goldens.py OUTPUT.json        (needs torch and diffusers; CPU only)
"""

import inspect
import json
import math
import sys

import diffusers
import torch

torch.set_num_threads(1)
diffusers.logging.set_verbosity_error()

N = 60  # elements of the dummy sample
FLAGS = {
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
SD15 = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
    "clip_sample": False,
}
SD21 = {
    "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
    "clip_sample": False, "prediction_type": "v_prediction",
}


def config(class_name, **options):
    base = {"_class_name": class_name, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "num_train_timesteps": 1000}
    return {**base, **options}


def cases():
    """(config of the folder, flag or None, steps, eta[, "none": a pipeline without patches])"""
    # Every flag on the two folders that people have.
    for flag in FLAGS:
        for steps in (1, 5, 20) if flag != "pndm" else (5, 20):
            yield SD15, flag, steps, 0.0
        yield SD21, flag, 20, 0.0
        yield SD15, FLAGS[flag][0], 12, 0.0
    yield SD15, None, 1, 0.0
    yield SD15, None, 2, 0.0
    yield SD15, None, 50, 0.0
    yield SD21, None, 50, 0.0
    for flag in ("ddim", "euler", "unipc"):
        yield SD15, flag, 10, 0.8
    yield SD21, "ddim", 10, 1.0

    spacings = ("leading", "linspace", "trailing")
    for spacing in spacings:
        for class_name in sorted({name for name, _ in FLAGS.values()} - {"LCMScheduler"}):
            for steps in (7, 30):
                yield config(class_name, timestep_spacing=spacing), None, steps, 0.0
    betas = [round(0.0005 + 0.0001 * i, 7) for i in range(100)]
    for class_name in [name for name, _ in list(FLAGS.values())]:
        yield config(class_name, beta_schedule="linear", beta_end=0.02), None, 8, 0.0
        yield config(class_name, beta_schedule="squaredcos_cap_v2"), None, 8, 0.0
        yield config(class_name, trained_betas=betas, num_train_timesteps=100), None, 8, 0.0
        if class_name not in ("PNDMScheduler", "EulerAncestralDiscreteScheduler"):
            yield config(class_name, prediction_type="sample"), None, 8, 0.0
        yield config(class_name, prediction_type="v_prediction"), None, 8, 0.0
        if "rescale_betas_zero_snr" in init_keys(class_name):
            yield config(class_name, rescale_betas_zero_snr=True, prediction_type="v_prediction",
                         timestep_spacing="trailing"), None, 8, 0.0
        if "use_karras_sigmas" in init_keys(class_name):
            for kind in ("karras", "exponential"):
                for steps in (8, 20):
                    yield config(class_name, **{f"use_{kind}_sigmas": True}), None, steps, 0.0
            yield config(class_name, use_karras_sigmas=True, sigma_min=0.05, sigma_max=12.5), None, 8, 0.0
            yield config(class_name, use_exponential_sigmas=True, sigma_min=0.05), None, 8, 0.0
            yield config(class_name, use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2",
                         sigma_max=20.0), None, 8, 0.0
        if "thresholding" in init_keys(class_name):
            yield config(class_name, thresholding=True, dynamic_thresholding_ratio=0.87,
                         sample_max_value=1.5), None, 8, 0.0
        if "final_sigmas_type" in init_keys(class_name):
            yield config(class_name, final_sigmas_type="sigma_min"), None, 8, 0.0
            yield config(class_name, final_sigmas_type="sigma_min"), None, 20, 0.0

    ddim = "DDIMScheduler"
    yield config(ddim, clip_sample=True), None, 8, 0.0  # the pipeline switches clipping off
    yield config("EulerDiscreteScheduler", clip_sample=True), ddim, 8, 0.0
    yield config("EulerDiscreteScheduler"), ddim, 8, 0.0  # DDIM's own default, clipping, remains
    yield config("EulerDiscreteScheduler"), ddim, 8, 0.6
    yield config("EulerDiscreteScheduler", clip_sample_range=0.7, prediction_type="sample"), ddim, 8, 0.0
    yield config("EulerDiscreteScheduler", set_alpha_to_one=False), ddim, 8, 0.0
    yield config("EulerDiscreteScheduler", steps_offset=3), ddim, 8, 0.0
    yield config("EulerDiscreteScheduler"), "pndm", 6, 0.0  # Runge-Kutta start
    yield config("EulerDiscreteScheduler"), "pndm", 4, 0.0
    yield config("EulerDiscreteScheduler", prediction_type="v_prediction"), "pndm", 30, 0.0
    yield config("PNDMScheduler", set_alpha_to_one=True), None, 25, 0.0
    yield config("PNDMScheduler", skip_prk_steps=True, timestep_spacing="trailing"), None, 25, 0.0

    euler = "EulerDiscreteScheduler"
    yield config(euler, interpolation_type="log_linear"), None, 8, 0.0
    yield config(euler, interpolation_type="log_linear", use_karras_sigmas=True), None, 8, 0.0
    yield config(euler, timestep_type="continuous", prediction_type="v_prediction"), None, 8, 0.0
    yield config(euler, timestep_type="continuous"), None, 8, 0.0
    yield config(euler, use_karras_sigmas=True, sigma_min=0.02, sigma_max=20.0), "dpmpp_2m", 8, 0.0
    yield config(euler, use_karras_sigmas=True), "dpmpp_2m_karras", 25, 0.0

    heun = "HeunDiscreteScheduler"
    yield config(heun, beta_schedule="exp"), None, 6, 0.0
    yield {"_class_name": heun}, None, 6, 0.0
    for prediction_type in ("epsilon", "v_prediction", "sample"):
        yield config(heun, clip_sample=True, clip_sample_range=0.8,
                     prediction_type=prediction_type), None, 6, 0.0, "none"

    dpm = "DPMSolverMultistepScheduler"
    for algorithm in ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"):
        for order in (1, 2, 3):
            if algorithm == "sde-dpmsolver" and order == 3:
                continue
            for solver_type in ("midpoint", "heun"):
                for steps in (8, 20):
                    for lower in (True, False):
                        if not lower and steps == 20:
                            continue
                        yield config(dpm, algorithm_type=algorithm, solver_order=order,
                                     solver_type=solver_type, lower_order_final=lower,
                                     final_sigmas_type="zero" if "++" in algorithm else "sigma_min",
                                     ), None, steps, 0.0
    for steps in (14, 15):  # lower_order_final ends in between
        yield config(dpm, solver_order=3, final_sigmas_type="sigma_min"), None, steps, 0.0
    for prediction_type in ("v_prediction", "sample"):
        yield config(dpm, algorithm_type="dpmsolver", final_sigmas_type="sigma_min",
                     prediction_type=prediction_type), None, 8, 0.0
    yield config(dpm, euler_at_final=True, final_sigmas_type="sigma_min"), None, 20, 0.0
    yield config(dpm, use_lu_lambdas=True), None, 20, 0.0
    yield config(dpm, use_lu_lambdas=True, use_karras_sigmas=True), None, 8, 0.0
    yield config(dpm, lambda_min_clipped=-float("inf")), None, 8, 0.0
    for spacing in spacings:
        yield config(dpm, lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2",
                     timestep_spacing=spacing), None, 9, 0.0
    yield config(dpm, solver_type="bh1", solver_order=3), None, 8, 0.0
    yield config(dpm, solver_type="bh1"), "unipc", 8, 0.0
    yield config("UniPCMultistepScheduler", solver_type="heun"), "dpmpp_2m", 8, 0.0

    unipc = "UniPCMultistepScheduler"
    for order in (1, 2, 3):
        for solver_type in ("bh1", "bh2"):
            for predict_x0 in (True, False):
                yield config(unipc, solver_order=order, solver_type=solver_type,
                             predict_x0=predict_x0, final_sigmas_type="sigma_min"), None, 8, 0.0
        yield config(unipc, solver_order=order, lower_order_final=False,
                     final_sigmas_type="sigma_min"), None, 20, 0.0
    for prediction_type in ("v_prediction", "sample"):
        yield config(unipc, predict_x0=False, prediction_type=prediction_type,
                     final_sigmas_type="sigma_min"), None, 8, 0.0
    yield config(unipc, disable_corrector=[0, 1, 4]), None, 8, 0.0
    yield config(unipc, solver_order=3, thresholding=True, predict_x0=False,
                 final_sigmas_type="sigma_min"), None, 8, 0.0

    lcm = "LCMScheduler"
    for steps in (1, 4, 8, 50):
        yield config(lcm, original_inference_steps=50), None, steps, 0.0
    yield config(lcm, original_inference_steps=80, timestep_scaling=5.0), None, 7, 0.0
    yield config(lcm, clip_sample=True), ddim, 4, 0.0
    yield config(lcm, timestep_scaling=0.002), None, 7, 0.0
    yield config(lcm, clip_sample=True, clip_sample_range=0.9), None, 4, 0.0, "none"
    yield config(lcm, steps_offset=0, clip_sample=True), ddim, 4, 0.0, "none"

    # What from_config leaves out, and what it takes over from classes that are not supported.
    yield {**SD15, "_use_default_values": ["beta_start", "clip_sample", "skip_prk_steps"]}, "ddim", 8, 0.0
    yield {**SD15, "_use_default_values": ["beta_end"]}, None, 8, 0.0
    yield config("DEISMultistepScheduler", solver_order=3, steps_offset=0), "dpmpp_2m", 8, 0.0
    yield config("DDPMScheduler", clip_sample=True, steps_offset=0), ddim, 8, 0.0
    yield config("KDPM2DiscreteScheduler", timestep_spacing="trailing", some_new_key=[1, {"a": None}]), "heun", 8, 0.0


def init_keys(class_name):
    return set(inspect.signature(getattr(diffusers, class_name).__init__).parameters)


def load(folder, flag, patches):
    """The scheduler of the pipeline of a folder, exchanged as the flag says."""
    first = getattr(diffusers, folder["_class_name"]).from_config(json.loads(json.dumps(folder)))
    if patches == "none":
        return first if flag is None else getattr(diffusers, flag).from_config(first.config)
    pipe = diffusers.StableDiffusionPipeline(
        vae=None, text_encoder=None, tokenizer=None, unet=None, scheduler=first, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    if flag is None:
        return pipe.scheduler
    class_name, changes = FLAGS.get(flag, (flag, {}))
    return getattr(diffusers, class_name).from_config(pipe.scheduler.config, **changes)


def run(folder, flag, steps, eta, patches="stable_diffusion"):
    scheduler = load(folder, flag, patches)
    generator = torch.Generator("cpu").manual_seed(42)
    pattern = torch.randn(1, 4, 3, 5, generator=torch.Generator("cpu").manual_seed(7))
    scheduler.set_timesteps(steps)
    sample = torch.randn(1, 4, 3, 5, generator=generator) * scheduler.init_noise_sigma
    extra = {}
    step_keys = set(inspect.signature(scheduler.step).parameters)
    if "eta" in step_keys:
        extra["eta"] = eta
    if "generator" in step_keys:
        extra["generator"] = [generator]
    timesteps, scales, trace = [], [], []
    init_noise_sigma = float(scheduler.init_noise_sigma)
    for t in scheduler.timesteps:
        scales.append(float(scheduler.scale_model_input(torch.ones(1), t)))
        model_input = scheduler.scale_model_input(sample, t)
        noise_pred = 0.6 * model_input + (0.4 * math.cos(float(t) * 0.005)) * pattern
        sample = scheduler.step(noise_pred, t, sample, **extra, return_dict=False)[0]
        timesteps.append(float(t))
        trace.append(sample.flatten()[1].item())
    values = sample.flatten().tolist()
    assert len(values) == N and all(math.isfinite(v) for v in values), (folder, flag, steps)
    digits = lambda xs: [float(f"{x:.7g}") for x in xs]
    return {"config": json.dumps(folder), "flag": flag or "", "steps": steps, "eta": eta,
            "patches": patches,            "class": type(scheduler).__name__, "init_noise_sigma": float(f"{init_noise_sigma:.9g}"),
            "timesteps": [float(f"{t:.9g}") for t in timesteps], "input_scale": [float(f"{x:.9g}") for x in scales if x != 1.0],
            "trace": digits(trace), "sample": digits(values)}


def main():
    results = []
    for case in cases():
        try:
            results.append(run(*case))
        except Exception:
            print("in", case, file=sys.stderr)
            raise
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        header = {"diffusers": diffusers.__version__, "torch": torch.__version__.split("+")[0]}
        out.write('{"made_with": %s, "cases": [\n' % json.dumps(header))
        out.write(",\n".join(json.dumps(r, separators=(",", ":")) for r in results))
        out.write("\n]}\n")
    print(len(results), "cases")


main()
