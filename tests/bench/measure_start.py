#!/usr/bin/env python3
"""How long a run takes to its first denoising step, from a warm page cache, beside what the machine asks for memory.

A guest gives memory that nobody uses back to its host, and pays to get it again: the first run after a pause waits for
its host, page by page, the next one does not. So each round pauses, writes to as many fresh pages as the run has
(as huge pages where the system lets it), pauses again, and starts the run twice.

  tests/bench/measure_start.py PROGRAM MODEL [--dtype f32 bf16] [--rounds 3] [--pause 60]

`loading` is the run's own figure: all weights are in their places. `whole` is one 64x64 picture of one step from the
start of the process to its end, which holds the first step and more.
"""

import argparse
import json
import mmap
import pathlib
import statistics
import subprocess
import tempfile
import time

PAGE = 2 << 20


def warm(model):
    """Reads every file of the model, so that it is in the page cache."""
    for path in pathlib.Path(model).rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(PAGE):
                    pass


def fresh_pages(size):
    """Seconds to write to `size` bytes of fresh memory for the first time, one thread."""
    memory = mmap.mmap(-1, size + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = time.perf_counter()
    for at in range(0, size, mmap.PAGESIZE):
        memory[at] = 1
    seconds = time.perf_counter() - start
    memory.close()
    return seconds


def run(program, model, dtype):
    with tempfile.TemporaryDirectory() as folder:
        prompts = pathlib.Path(folder) / "prompts.txt"
        prompts.write_text("a picture\n")
        start = time.perf_counter()
        done = subprocess.run(
            [program, str(prompts), "--model", model, "--dtype", dtype, "--width", "64", "--height", "64",
             "--num-inference-steps", "1", "--seed", "0", "--json", "--quiet", "--output-dir", folder + "/out"],
            check=True, stdout=subprocess.PIPE)
        whole = time.perf_counter() - start
        summary = json.loads(done.stdout)
        return summary["seconds"]["loading"], whole, summary["peak_memory_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--dtype", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=60, help="seconds")
    o = parser.parse_args()
    for dtype in o.dtype:
        size = run(o.program, o.model, dtype)[2]
        rounds = []
        for _ in range(o.rounds):
            warm(o.model)
            time.sleep(o.pause)
            waiting = fresh_pages(size)
            at_hand = fresh_pages(size)
            time.sleep(o.pause)
            first = run(o.program, o.model, dtype)
            again = run(o.program, o.model, dtype)
            rounds.append((waiting, at_hand, *first[:2], *again[:2]))
            print(f"{dtype}: {size >> 20} MiB of fresh pages {waiting:.2f} s after a pause, {at_hand:.2f} s again; run "
                  f"after a pause: loading {first[0]:.2f} s, whole {first[1]:.2f} s; again: loading {again[0]:.2f} s, "
                  f"whole {again[1]:.2f} s", flush=True)
        print(f"{dtype}, medians: " + ", ".join(f"{statistics.median(column):.2f}" for column in zip(*rounds)), flush=True)


if __name__ == "__main__":
    main()
