#!/usr/bin/env python3
"""Times diffusers and OpenVINO on this machine beside diffuse_bench, and prints the ratios.

  scripts/bench_peers.py --model DIR [--dtype f32 bf16] [--size 512 256] [--batch-size 1 4] [--quick]
  scripts/bench_peers.py --model DIR --whole-run            2 prompts, 10 steps, cold process to last PNG

Every peer gets the same folder, shapes and number of threads. It runs in a process of its own which waits
while ours computes, and the other way round: one pass of ours, one of the peer, and so on, so that both see the
same weather. A ratio is the median of ours over the median of the peer's in that same series. The guided step is
the UNet on two entries a picture, guidance and the scheduler's step; the decoder gets one picture.

Peers: diffusers eager, channels_last, torch.compile; OpenVINO with static shapes, whose models are made from
the diffusers ones once and kept beside the packages. Packages come from PyPI into a virtual environment of
its own (--venv), unless the interpreter that runs this has them. Seen with diffusers 0.42.1, torch 2.15.0,
transformers 5.23.0, openvino 2026.4.1.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

PACKAGES = ["torch", "diffusers", "transformers", "accelerate", "safetensors", "pillow", "openvino"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "diffuse-batch"
NETWORKS = ["guided_step", "vae_decoder"]
PEERS = ["openvino", "diffusers-compile", "diffusers-channels_last", "diffusers-eager"]
PROMPTS = ["a red cat on a green sofa", "a lighthouse in a storm at night"]
WHOLE_RUN_STEPS = 10


# The peers: each is called in a process of its own and answers with functions that run one pass.


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
        command = [sys.executable, __file__, "--convert", str(folder), *arguments.rest]
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


# The comparison.


class Runner:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE if os.environ.get("QUIET_PEERS") else None, text=True,
                                        env={**os.environ, **environment})
        self.peak_rss = 0
        start = time.perf_counter()
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{command[0]} did not start: exit code {self.process.wait()}")
        self.start_seconds = time.perf_counter() - start

    def run(self, network):
        self.process.stdin.write(network + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.peak_rss = answer["peak_rss_bytes"]
        return answer["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(arguments, peer, dtype, size, batch_size):
    shape = ["--threads", str(arguments.threads), "--batch-size", str(batch_size), "--dtype", dtype]
    ours = Runner([str(arguments.diffuse_bench), "--serve", "--model", str(arguments.model), "--width", str(size),
                   "--height", str(size), *shape, "--network", ",".join(arguments.network)], {})
    environment = {"OMP_NUM_THREADS": str(arguments.threads), "MKL_NUM_THREADS": str(arguments.threads),
                   "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    try:
        theirs = Runner([sys.executable, __file__, "--peer", peer, "--model", str(arguments.model), "--size", str(size),
                         *shape, "--venv", str(arguments.venv), "--network", *arguments.network], environment)
    except RuntimeError:
        ours.close()
        raise
    rows = []
    for network in arguments.network:
        times = {"ours": [], "peer": []}
        for _ in range(arguments.rounds):
            times["ours"].append(ours.run(network))
            times["peer"].append(theirs.run(network))
        rows.append({"network": network, "peer": peer, "dtype": dtype, "size": size, "batch_size": batch_size,
                     "ours_seconds": times["ours"], "peer_seconds": times["peer"],
                     "ours_peak_rss": ours.peak_rss, "peer_peak_rss": theirs.peak_rss,
                     "ratio": statistics.median(times["ours"]) / statistics.median(times["peer"])})
        rows[-1]["ratio_of_best"] = min(times["ours"]) / min(times["peer"])
        print(row_text(rows[-1]), flush=True)
    ours.close()
    theirs.close()
    return rows


HEADER = "network      dtype size batch  peer                      ours s    peer s   ratio  (best)  RSS MiB ours, peer"


def row_text(row):
    return (f"{row['network']:<12} {row['dtype']:<5} {row['size']:>4} {row['batch_size']:>5}  {row['peer']:<23} "
            f"{statistics.median(row['ours_seconds']):>8.3f}  {statistics.median(row['peer_seconds']):>8.3f}  "
            f"{row['ratio']:>6.3f}  {row['ratio_of_best']:>6.3f}  {row['ours_peak_rss'] >> 20:>6} {row['peer_peak_rss'] >> 20:>6}")


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
    import torch
    arguments.network = NETWORKS
    torch_dtype = torch.float32
    import openvino
    torch_module, pipe = load_pipeline(arguments, torch_dtype)
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
        return (torch_module.from_numpy(answer),)

    pipe.unet.forward = unet
    pipe.vae.decode = lambda latents, **_: (torch_module.from_numpy(compiled["vae_decoder"]([latents.numpy()])[0]),)
    for i, prompt in enumerate(PROMPTS):
        image = pipe(prompt, num_inference_steps=WHOLE_RUN_STEPS, width=arguments.size, height=arguments.size,
                     generator=torch_module.Generator().manual_seed(i)).images[0]
        image.save(pathlib.Path(arguments.whole_run_openvino) / f"{i}.png")


def whole_runs(arguments, dtype, size):
    """Seconds from the start of a cold process to its end, alternating."""
    with tempfile.TemporaryDirectory() as folder:
        prompts = pathlib.Path(folder) / "prompts.txt"
        prompts.write_text("\n".join(PROMPTS) + "\n")
        torch_dtype = {"f32": "float32", "bf16": "bfloat16"}[dtype]
        peer = [str(arguments.model), torch_dtype, str(size), str(WHOLE_RUN_STEPS), str(arguments.threads)]
        commands = {
            "ours": [str(arguments.diffuse_batch), str(prompts), "--model", str(arguments.model), "--dtype", dtype,
                     "--width", str(size), "--height", str(size), "--num-inference-steps", str(WHOLE_RUN_STEPS),
                     "--seed", "0", "--threads", str(arguments.threads), "--overwrite", "--quiet",
                     "--output-dir", folder + "/ours"],
            "openvino": [sys.executable, __file__, "--whole-run-openvino", folder, "--model", str(arguments.model),
                         "--size", str(size), "--dtype", dtype, "--threads", str(arguments.threads),
                         "--venv", str(arguments.venv)],
            "diffusers-channels_last": [sys.executable, "-c", WHOLE_RUN, *peer, "channels_last", folder, *PROMPTS],
            "diffusers-eager": [sys.executable, "-c", WHOLE_RUN, *peer, "eager", folder, *PROMPTS],
        }
        if arguments.quick:
            del commands["diffusers-eager"]
        times = {name: [] for name in commands}
        for _ in range(1 if arguments.quick else 3):
            for name, command in commands.items():
                (pathlib.Path(folder) / "ours").mkdir(exist_ok=True)
                for old in pathlib.Path(folder).glob("ours/*"):
                    old.unlink()
                start = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                               stderr=None if name == "ours" else subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads)})
                times[name].append(time.perf_counter() - start)
    rows = []
    for name, seconds in times.items():
        ratio = statistics.median(times["ours"]) / statistics.median(seconds)
        print(f"whole run    {dtype:<5} {size:>4}     1  {name:<23} {statistics.median(seconds):>8.2f} s  "
              f"ours / this {ratio:>6.3f}", flush=True)
        rows.append({"network": "whole_run", "peer": name, "dtype": dtype, "size": size, "batch_size": 1,
                     "peer_seconds": seconds, "ratio": ratio})
    return rows


def use_venv(arguments):
    """Goes on in the interpreter that has the packages; makes it first where none has."""
    if all(importlib.util.find_spec("PIL" if name == "pillow" else name) for name in PACKAGES):
        return
    python = pathlib.Path(arguments.venv) / "bin" / "python"
    if sys.executable == str(python):
        raise SystemExit(f"{python} lacks packages: remove {arguments.venv} and run this again")
    if not python.exists():
        print(f"installing {' '.join(PACKAGES)} into {arguments.venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", arguments.venv], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(str(python), [str(python), __file__, *sys.argv[1:]])


def versions():
    import importlib.metadata
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="diffusers folder")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", help="our build folder")
    parser.add_argument("--dtype", nargs="+", default=["f32", "bf16"], choices=["f32", "bf16"])
    parser.add_argument("--size", nargs="+", type=int, default=[512, 256])
    parser.add_argument("--batch-size", nargs="+", type=int, default=[1])
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--network", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="OpenVINO alone, 512, two rounds")
    parser.add_argument("--whole-run", action="store_true", help="whole runs instead of networks")
    parser.add_argument("--venv", default=str(CACHE / "peers"))
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--convert", help=argparse.SUPPRESS)
    parser.add_argument("--whole-run-openvino", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse()
    use_venv(arguments)
    arguments.rest = ["--model", str(arguments.model), "--venv", arguments.venv, "--threads", str(arguments.threads)]
    if arguments.peer or arguments.convert or arguments.whole_run_openvino:
        arguments.dtype, arguments.size = arguments.dtype[0], arguments.size[0]
        arguments.batch_size = arguments.batch_size[0]
        work = convert if arguments.convert else openvino_whole_run if arguments.whole_run_openvino else serve
        return work(arguments)

    if arguments.quick:
        arguments.peers, arguments.size, arguments.rounds = ["openvino"], [max(arguments.size)], 2
    arguments.diffuse_bench = arguments.build / "apps" / "diffuse_bench"
    arguments.diffuse_batch = arguments.build / "apps" / "diffuse-batch"
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    about = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": cpu, "system": platform.platform(),
             "threads": arguments.threads, "load_before": os.getloadavg(), "versions": versions()}
    print(json.dumps(about))
    rows = []
    if not arguments.whole_run:
        print(HEADER)
    for dtype in arguments.dtype:
        for size in arguments.size:
            if arguments.whole_run:
                rows += whole_runs(arguments, dtype, size)
                continue
            for batch_size in arguments.batch_size:
                for peer in arguments.peers:
                    try:
                        rows += compare(arguments, peer, dtype, size, batch_size)
                    except RuntimeError as error:
                        print(f"{peer} {dtype} {size}: {error}", flush=True)
    about["load_after"] = os.getloadavg()
    print(f"load {about['load_before'][0]:.2f} before, {about['load_after'][0]:.2f} after")
    if arguments.json:
        arguments.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
