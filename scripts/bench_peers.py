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

from peer_passes import PROMPTS, WHOLE_RUN, WHOLE_RUN_STEPS, convert, openvino_whole_run, serve

PACKAGES = ["torch", "diffusers", "transformers", "accelerate", "safetensors", "pillow", "openvino"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "diffuse-batch"
NETWORKS = ["guided_step", "vae_decoder"]
PEERS = ["openvino", "diffusers-compile", "diffusers-channels_last", "diffusers-eager"]


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
