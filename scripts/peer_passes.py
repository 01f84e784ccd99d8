"""What bench_peers.py times: diffusers and OpenVINO on a folder, each in a process of its own."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

PROMPTS = ["a red cat on a green sofa", "a lighthouse in a storm at night"]
WHOLE_RUN_STEPS = 10


def load_pipeline(arguments, dtype):
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    pipe = StableDiffusionPipeline.from_pretrained(
        arguments.model, torch_dtype=dtype, safety_checker=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return torch, pipe


def inputs_of(torch, pipe, arguments, dtype):
    generator = torch.Generator().manual_seed(0)
    side = arguments.size // (2 ** (len(pipe.vae.config.block_out_channels) - 1))
    n = arguments.batch_size
    latents = torch.randn((n, pipe.unet.config.in_channels, side, side), generator=generator).to(dtype)
    text = torch.randn((2 * n, pipe.tokenizer.model_max_length, pipe.unet.config.cross_attention_dim),
                       generator=generator).to(dtype)
    return latents, text


def guided(noise_pred, scheduler, timestep, latents):
    unconditional, conditional = noise_pred.chunk(2)
    return scheduler.step(unconditional + 7.5 * (conditional - unconditional), timestep, latents, return_dict=False)[0]


def diffusers_passes(arguments, mode):
    import torch
    dtype = torch.float32 if arguments.dtype == "f32" else torch.bfloat16
    torch, pipe = load_pipeline(arguments, dtype)
    latents, text = inputs_of(torch, pipe, arguments, dtype)
    unet, vae = pipe.unet, pipe.vae
    if mode in ("channels_last", "compile"):
        unet = unet.to(memory_format=torch.channels_last)
        vae = vae.to(memory_format=torch.channels_last)
    decode = vae.decode
    if mode == "compile":
        unet, decode = torch.compile(unet), torch.compile(vae.decode)

    def step():
        pipe.scheduler.set_timesteps(50)
        timestep = pipe.scheduler.timesteps[0]
        noise_pred = unet(torch.cat([latents] * 2), timestep, encoder_hidden_states=text, return_dict=False)[0]
        guided(noise_pred, pipe.scheduler, timestep, latents)

    return {"guided_step": step,
            "vae_decoder": lambda: decode(latents[:1] / vae.config.scaling_factor, return_dict=False)[0]}


def openvino_models(arguments):
    """Paths of the UNet and the decoder as OpenVINO's models with open shapes, made once."""
    name = hashlib.sha256(str(pathlib.Path(arguments.model).resolve()).encode()).hexdigest()[:16]
    folder = pathlib.Path(arguments.venv) / "openvino" / name
    paths = {part: folder / f"{part}.xml" for part in ("unet", "vae_decoder")}
    if not all(path.exists() for path in paths.values()):
        command = [sys.executable, sys.argv[0], "--convert", str(folder), *arguments.rest]
        subprocess.run(command, check=True)
    return paths


def convert(arguments):
    import openvino
    import torch
    torch, pipe = load_pipeline(arguments, torch.float32)
    arguments.batch_size, arguments.size = 1, 128
    latents, text = inputs_of(torch, pipe, arguments, torch.float32)

    class UNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = pipe.unet

        def forward(self, sample, timestep, text):
            return self.unet(sample, timestep, encoder_hidden_states=text, return_dict=False)[0]

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = pipe.vae

        def forward(self, latents):
            return self.vae.decode(latents, return_dict=False)[0]

    folder = pathlib.Path(arguments.convert)
    folder.mkdir(parents=True, exist_ok=True)
    models = {
        "unet": (UNet(), (torch.cat([latents] * 2), torch.tensor(1.0), text)),
        "vae_decoder": (Decoder(), (latents,)),
    }
    for name, (module, example) in models.items():
        model = openvino.convert_model(module.eval().requires_grad_(False), example_input=example)
        openvino.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)


def openvino_passes(arguments):
    import numpy
    import openvino
    config = json.loads((pathlib.Path(arguments.model) / "unet" / "config.json").read_text())
    vae = json.loads((pathlib.Path(arguments.model) / "vae" / "config.json").read_text())
    side = arguments.size // (2 ** (len(vae["block_out_channels"]) - 1))
    n = arguments.batch_size
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": arguments.threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32" if arguments.dtype == "f32" else "bf16"}
    shapes = {"unet": [[2 * n, config["in_channels"], side, side], [], [2 * n, 77, config["cross_attention_dim"]]],
              "vae_decoder": [[1, vae["latent_channels"], side, side]]}
    numbers = numpy.random.default_rng(0)
    compiled = {}
    for name, path in openvino_models(arguments).items():
        model = core.read_model(path)
        model.reshape({i: openvino.PartialShape(shape) for i, shape in enumerate(shapes[name])})
        compiled[name] = core.compile_model(model, "CPU", settings)
    sample = numbers.standard_normal(shapes["unet"][0], dtype=numpy.float32)
    text = numbers.standard_normal(shapes["unet"][2], dtype=numpy.float32)
    latents = numbers.standard_normal(shapes["vae_decoder"][0], dtype=numpy.float32)

    def step():
        noise_pred = compiled["unet"]([sample, numpy.array(981.0, numpy.float32), text])[0]
        unconditional, conditional = noise_pred[:n], noise_pred[n:]
        _ = unconditional + 7.5 * (conditional - unconditional)

    return {"guided_step": step, "vae_decoder": lambda: compiled["vae_decoder"]([latents])}


def peak_rss():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def serve(arguments):
    """What a peer's process does: the same conversation as `diffuse_bench --serve`."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    kind, _, mode = arguments.peer.partition("-")
    passes = openvino_passes(arguments) if kind == "openvino" else diffusers_passes(arguments, mode)
    for name in arguments.network:
        for _ in range(2 if mode == "compile" else 1):
            passes[name]()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        passes[line.strip()]()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak_rss()}), file=answers, flush=True)


WHOLE_RUN = """
import sys, torch
from diffusers import StableDiffusionPipeline
model, dtype, size, steps, threads, mode, folder = sys.argv[1:8]
torch.set_num_threads(int(threads))
pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=getattr(torch, dtype), safety_checker=None,
                                               requires_safety_checker=False)
if mode == "channels_last":
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.vae.to(memory_format=torch.channels_last)
for i, prompt in enumerate(sys.argv[8:]):
    image = pipe(prompt, num_inference_steps=int(steps), width=int(size), height=int(size),
                 generator=torch.Generator().manual_seed(i)).images[0]
    image.save(f"{folder}/{i}.png")
"""


def openvino_whole_run(arguments):
    """The pipeline with OpenVINO's UNet and decoder in place of torch's."""
    import openvino
    import torch
    torch, pipe = load_pipeline(arguments, torch.float32)
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": arguments.threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32" if arguments.dtype == "f32" else "bf16"}
    side = arguments.size // (2 ** (len(pipe.vae.config.block_out_channels) - 1))
    channels, width = pipe.unet.config.in_channels, pipe.unet.config.cross_attention_dim
    shapes = {"unet": [[2, channels, side, side], [], [2, 77, width]], "vae_decoder": [[1, channels, side, side]]}
    compiled = {}
    for name, path in openvino_models(arguments).items():
        model = core.read_model(path)
        model.reshape({i: openvino.PartialShape(shape) for i, shape in enumerate(shapes[name])})
        compiled[name] = core.compile_model(model, "CPU", settings)

    def unet(sample, timestep, encoder_hidden_states=None, **_):
        answer = compiled["unet"]([sample.numpy(), timestep.float().numpy(), encoder_hidden_states.numpy()])[0]
        return (torch.from_numpy(answer),)

    pipe.unet.forward = unet
    pipe.vae.decode = lambda latents, **_: (torch.from_numpy(compiled["vae_decoder"]([latents.numpy()])[0]),)
    for i, prompt in enumerate(PROMPTS):
        image = pipe(prompt, num_inference_steps=WHOLE_RUN_STEPS, width=arguments.size, height=arguments.size,
                     generator=torch.Generator().manual_seed(i)).images[0]
        image.save(pathlib.Path(arguments.whole_run_openvino) / f"{i}.png")
