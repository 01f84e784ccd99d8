#!/usr/bin/env python3
"""Memory of whole runs: the largest resident size of each rank (VmHWM), and the largest sum of proportional
sizes (PSS) of all ranks, sampled ten times a second.

  tests/bench/measure_memory.py PROGRAM MODEL [--size 512] [--dtype f32 bf16] [--ranks 1 2] [--memory full lean]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def value(path, key):
    try:
        for line in path.read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def descendants(root):
    """The processes that `root` has started, and itself."""
    parents = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    family = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more


def ranks_of(root, program):
    found = []
    for pid in descendants(root):
        folder = pathlib.Path("/proc") / str(pid)
        try:
            if os.readlink(folder / "exe") == program:
                found.append(folder)
        except OSError:
            pass
    return found


def measure(program, model, size, dtype, ranks, memory, steps):
    with tempfile.TemporaryDirectory() as folder:
        prompts = pathlib.Path(folder) / "prompts.txt"
        prompts.write_text("".join(f"a picture, number {i}\n" for i in range(ranks)))
        command = [program, str(prompts), "--model", model, "--dtype", dtype, "--width", str(size), "--height", str(size),
                   "--num-inference-steps", str(steps), "--seed", "0", "--memory", memory, "--quiet",
                   "--output-dir", folder + "/out"]
        if ranks > 1:
            command = ["mpirun", "-np", str(ranks), *command]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        largest, pss = {}, 0.0
        while process.poll() is None:
            mine = ranks_of(process.pid, program)
            for p in mine:
                largest[p.name] = max(largest.get(p.name, 0), value(p / "status", "VmHWM"))
            pss = max(pss, sum(value(p / "smaps_rollup", "Pss") for p in mine))
            time.sleep(0.1)
        if process.returncode != 0:
            sys.exit(f"exit code {process.returncode}: {command}")
    return {"dtype": dtype, "memory": memory, "ranks": ranks, "size": size, "rss_mib": [round(v) for v in largest.values()],
            "pss_sum_mib": round(pss), "seconds": round(time.perf_counter() - start, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda p: str(pathlib.Path(p).resolve()))
    parser.add_argument("model")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--dtype", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--memory", nargs="+", default=["full", "lean"])
    a = parser.parse_args()
    for dtype in a.dtype:
        for memory in a.memory:
            for ranks in a.ranks:
                print(json.dumps(measure(a.program, a.model, a.size, dtype, ranks, memory, a.steps)), flush=True)


if __name__ == "__main__":
    main()
