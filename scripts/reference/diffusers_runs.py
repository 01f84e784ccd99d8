"""Runs of diffusers' StableDiffusionPipeline, on the CPU unless told otherwise, one torch generator a picture: the oracle of the whole renderer."""
import contextlib
import logging
import sys
import warnings

import diffusers
import numpy as np
import torch
import transformers

# The names of --scheduler: class, and what is changed in the folder's configuration.
SCHEDULERS = {
    "ddim": (diffusers.DDIMScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler_a": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_karras": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {}),
}


def quiet():
    """Progress bars, deprecation notices and advice off: none of them concerns these runs."""
    warnings.filterwarnings("ignore")
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)


def load_pipeline(folder, dtype=torch.float32, device="cpu"):
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None, requires_safety_checker=False, torch_dtype=dtype,
        local_files_only=True).to(device)
    pipe.set_progress_bar_config(disable=True)
    # diffusers asks for multiples of 8 whatever the VAE's factor is; latents of odd size need the factor itself.
    pipe.check_inputs = lambda *args, **kwargs: None
    pipe.folder_scheduler = pipe.scheduler
    # clip_skip asks for text_encoder.text_model, which is gone in transformers 5 (seen with diffusers 0.42.1).
    if not hasattr(pipe.text_encoder, "text_model"):
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    return pipe


def set_scheduler(pipe, name, overrides=None):
    """None or "" leaves the folder's own class; every run starts from the folder's configuration."""
    kind, changes = SCHEDULERS[name] if name else (type(pipe.folder_scheduler), {})
    pipe.scheduler = kind.from_config(pipe.folder_scheduler.config, **{**changes, **(overrides or {})})


@contextlib.contextmanager
def noise_drawn_in_f32(pipe):
    """Noise is always drawn in f32 and converted, so that runs in other dtypes start from the same numbers."""
    original = diffusers.utils.torch_utils.randn_tensor

    def draw(shape, generator=None, device=None, dtype=None, layout=None):
        return original(shape, generator=generator, device=device, dtype=torch.float32).to(dtype)

    modules = {sys.modules[type(x).__module__] for x in (pipe, pipe.scheduler)}
    modules = [m for m in modules if hasattr(m, "randn_tensor")]
    for module in modules:
        module.randn_tensor = draw
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = original


def denoise(pipe, case):
    """case: prompts, seeds (one a picture) and settings; returns the final latents [pictures, 4, h, w]."""
    set_scheduler(pipe, case.get("scheduler"), case.get("scheduler_overrides"))
    generators = [torch.Generator().manual_seed(seed) for seed in case["seeds"]]
    with noise_drawn_in_f32(pipe):
        return pipe(
            prompt=list(case["prompts"]), negative_prompt=[case.get("negative_prompt", "")] * len(case["prompts"]),
            num_inference_steps=case["steps"], guidance_scale=case["guidance_scale"],
            guidance_rescale=case.get("guidance_rescale", 0.0), eta=case.get("eta", 0.0),
            clip_skip=case.get("clip_skip") or None, num_images_per_prompt=case.get("num_images_per_prompt", 1),
            width=case["width"], height=case["height"], generator=generators, output_type="latent").images


def decode(pipe, latents):
    """8-bit pixels [pictures, height, width, 3], as the pipeline makes them."""
    with torch.no_grad():
        images = [pipe.vae.decode(one / pipe.vae.config.scaling_factor).sample.cpu() for one in latents.split(1)]
    pictures = pipe.image_processor.postprocess(torch.cat(images).float(), output_type="pil")
    return np.stack([np.asarray(picture) for picture in pictures])


def relative_difference(a, b):
    """The largest difference over the largest value of b; infinity where either holds a NaN."""
    difference = (a.double() - b.double()).abs().max() / b.double().abs().max()
    return float("inf") if torch.isnan(difference) else difference.item()
