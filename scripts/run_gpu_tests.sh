#!/usr/bin/env bash
# What only a GPU can show, in three parts of 5, 5 and 7 minutes, for a GPU machine without network that has the CUDA
# toolkit, PyTorch, and cuDNN 9 (PyTorch's own serves). Each part writes a report and ends with a status.
#   scripts/run_gpu_tests.sh pack BUILD PACK     on the building machine: programs and their libraries into folder PACK
#   scripts/run_gpu_tests.sh 1 PACK REPORTS      conformance of every op on the GPU; compute-sanitizer
#   scripts/run_gpu_tests.sh 2 PACK REPORTS      same bytes at any batch; pictures beside diffusers (installed, or PACK/wheels)
#   scripts/run_gpu_tests.sh 3 PACK REPORTS      start; plans tuned; pictures a second with and without, beside diffusers
# DIFFUSE_REHEARSE=1 goes through parts 2 and 3 on the CPU, with tiny models: what is tested is this script.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
[ $# -eq 3 ] || usage

rehearse=${DIFFUSE_REHEARSE:-0}
device=cuda dtype=f16 steps=50 batches="1 4 8 16" compiled="1 8"
[ "$rehearse" = 0 ] || { device=cpu dtype=f32 steps=2 batches="1 2" compiled=""; }

# pack BUILD PACK: what ldd names, but the C library and what the toolkit and PyTorch bring.
pack() {
  local build=$1 to=$2 from
  mkdir -p "$to/bin" "$to/lib"
  for from in apps/diffuse-batch apps/diffuse_cuda.so tests/cuda_on_host/test_cuda_device; do
    cp "$build/$from" "$to/bin/" || { echo "run_gpu_tests.sh: $build/$from is not built" >&2; return 1; }
  done
  ldd "$to"/bin/* | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -vE '/(ld-linux|libc|libm|libdl|libpthread|librt|libcuda|libcudnn|libcublas|libcublasLt|libcudart)[.-]' |
    while read -r from; do cp -L "$from" "$to/lib/"; done
  # Open MPI opens its components by name, out of a folder of its own.
  from=$(find /usr /opt "${MPI_HOME:-/usr}" -name mca_btl_vader.so 2>/dev/null | head -1)
  [ -z "$from" ] || { rm -rf "$to/lib/openmpi" && cp -rL "$(dirname "$from")" "$to/lib/openmpi"; }
  rm -rf "$to/scripts" "$to/models"
  cp -r "$root/scripts" "$root/tests/data/models" "$to/"
  cp -r "$root/apps/default_model" "$to/models/"
  du -sh "$to"
}

# Where cuDNN and cuBLAS are: PyTorch's wheels, then the toolkit.
find_libraries() {
  local wheels
  wheels=$(python3 -c 'import nvidia, os
print(":".join(os.path.join(p, d, "lib") for p in nvidia.__path__ for d in sorted(os.listdir(p))))' 2>/dev/null)
  export LD_LIBRARY_PATH=$pack/lib:${wheels:+$wheels:}${CUDA_HOME:-/usr/local/cuda}/lib64:${LD_LIBRARY_PATH:-}
  export DIFFUSE_BATCH_CUDA_MODULE=$pack/bin/diffuse_cuda.so DIFFUSE_REQUIRE_CUDA=1
  [ ! -d "$pack/lib/openmpi" ] || export OMPI_MCA_mca_base_component_path=$pack/lib/openmpi
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  # Choices timed by earlier runs are not wanted here.
  export XDG_CACHE_HOME=$work/cache
  PYTHONPATH=$(printf '%s:' "$pack"/wheels/*.whl)${PYTHONPATH:-}
  export PYTHONPATH
}

failed=0
# stage SECONDS NAME COMMAND...: runs it within that time and notes how it ended.
stage() {
  local limit=$1 name=$2 start=$SECONDS status
  shift 2
  echo "=== $name"
  timeout "$limit" "$@"
  status=$?
  [ $status -eq 0 ] || failed=$((failed + 1))
  echo "=== $name: $([ $status -eq 0 ] && echo passed || echo "FAILED, status $status"), $((SECONDS - start)) s"
}

part1() {
  stage 130 "every op on the GPU" "$pack/bin/test_cuda_device"
  local sanitizer tool
  sanitizer=$(command -v compute-sanitizer || echo "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer")
  [ -x "$sanitizer" ] || { echo "compute-sanitizer: not run, not found"; return; }
  # Every op against its definition, with the libraries and without, and attention by wgmma where there is such.
  for tool in memcheck racecheck initcheck; do
    stage 55 "$tool" "$sanitizer" --tool $tool --error-exitcode 9 "$pack/bin/test_cuda_device" "*its definition gives*"
  done
}

# render OUT PICTURES [OPTION...]: the same prompts each time, with options.
render() {
  local out=$1 pictures=$2
  shift 2
  yes "a lighthouse at dusk" | head -n "$pictures" > "$work/list.txt"
  "$pack/bin/diffuse-batch" "$work/list.txt" --device "$device" --dtype "$dtype" --seed 1 --output-dir "$out" --overwrite \
    --quiet "$@"
}

# Pictures do not depend on the batch that they are in, nor on the run that made them.
same_bytes() {
  local model=$1 batch differ=0 picture in_turn=""
  for batch in 1 4 8; do
    render "$work/same$batch" 8 --model "$model" --num-inference-steps 4 --batch-size $batch > /dev/null || return 1
  done
  # Half of a run, and a second one that goes on with it: the plans are those of the first.
  render "$work/same_again" 4 --model "$model" --num-inference-steps 4 --batch-size 4 > /dev/null || return 1
  yes "a lighthouse at dusk" | head -n 8 > "$work/list.txt"
  "$pack/bin/diffuse-batch" "$work/list.txt" --device "$device" --dtype "$dtype" --seed 1 --output-dir "$work/same_again" \
    --quiet --model "$model" --num-inference-steps 4 --batch-size 3 > /dev/null || return 1
  # Without a decoder beside the denoiser; on a CPU, where there is none, lean rounds otherwise.
  if [ "$device" = cuda ]; then
    in_turn=same_in_turn
    render "$work/$in_turn" 8 --model "$model" --num-inference-steps 4 --batch-size 2 --memory lean > /dev/null || return 1
  fi
  for picture in "$work"/same1/*.png; do
    for batch in same4 same8 same_again $in_turn; do
      cmp -s "$picture" "$work/$batch/$(basename "$picture")" ||
        { echo "$(basename "$picture"): $batch differs from batch 1"; differ=$((differ + 1)); }
    done
  done
  echo "8 pictures of $(basename "$model") at batch 1, 4, 8, resumed${in_turn:+, decoded in turn}: $differ differ; plans stored:" \
    "$(grep -c '"choice"' "$work/same1/plans.json" 2>/dev/null || true)"
  [ $differ -eq 0 ]
}

part2() {
  local compare="$pack/scripts/compare_with_diffusers.py --program $pack/bin/diffuse-batch --extra=--device=$device"
  stage 60 "same bytes, default model" bash -c 'same_bytes "$0"' "$pack/models/default_model"
  # Each row starts the program twice; schedulers are host code, tested elsewhere.
  stage 95 "small models, f32" python3 $compare --scheduler ddim euler_a -- "$pack"/models/tiny_*
  if [ "$rehearse" = 0 ]; then
    stage 145 "SD 1.5 shapes, f32 and f16" \
      python3 $compare --full-size sd15 --dtype f32 f16 --half-device cuda --work "$work"
  fi
}

# Seconds of wall time of a run of PICTURES pictures.
seconds_of() {
  local start end
  start=$(date +%s.%N)
  render "$work/out" "$@" --model "$work/sd15" --num-inference-steps "$steps" > /dev/null || return 1
  end=$(date +%s.%N)
  awk -v a="$start" -v b="$end" 'BEGIN {print b - a}'
}

# speed NAME BATCH [OPTION...]: pictures a second of two batches; starting costs both runs the same.
speed() {
  local name=$1 batch=$2 one three
  shift 2
  # What is timed once and kept is not counted.
  [[ " $* " != *" --fast "* ]] || seconds_of "$batch" --batch-size "$batch" "$@" > /dev/null || return 1
  one=$(seconds_of "$batch" --batch-size "$batch" "$@") && three=$(seconds_of $((3 * batch)) --batch-size "$batch" "$@") ||
    return 1
  awk -v m="$name" -v n="$batch" -v a="$one" -v b="$three" \
    'BEGIN {printf "diffuse-batch %-24s batch %2d: %.3f images/s (start and one batch %.1f s)\n", m, n, 2 * n / (b - a), a}'
}

# From the command to the end of a picture of one step, and what the program says of it.
start_up() {
  local start end run
  for run in first second; do
    start=$(date +%s.%N)
    render "$work/start_$run" 1 --model "$work/sd15" --num-inference-steps 1 --json > "$work/start.json" || return 1
    end=$(date +%s.%N)
    awk -v r=$run -v a="$start" -v b="$end" 'BEGIN {printf "%s run of one picture of one step: %.2f s\n", r, b - a}'
    python3 -c 'import json, sys; print("  seconds:", json.load(open(sys.argv[1]))["seconds"])' "$work/start.json"
  done
}

tune() {
  "$pack/bin/diffuse-batch" --tune-plans "$work/tuned.json" --model "$work/sd15" --device "$device" --dtype "$dtype"
}

strict() {
  local batch
  for batch in $batches; do speed "$dtype strict" "$batch" || return 1; done
  DIFFUSE_BATCH_CUDA_EAGER=1 speed "$dtype strict, no graph" 1 || return 1
}

tuned_and_fast() {
  local largest=${batches##* }
  if [ -s "$work/tuned.json" ]; then speed "$dtype strict, tuned" "$largest" --plans "$work/tuned.json" || return 1; fi
  speed "$dtype --fast" 1 --fast && speed "$dtype --fast" "$largest" --fast
}

per_op() {
  yes "a lighthouse at dusk" | head -n 8 > "$work/list.txt"
  "$pack/bin/diffuse-batch" "$work/list.txt" --model "$work/sd15" --device "$device" --dtype "$dtype" --seed 1 \
    --batch-size 8 --num-inference-steps 2 --output-dir "$work/profile" --overwrite --progress none --profile > /dev/null
}

peers() {
  python3 - "$work/sd15" "$device" "$steps" "$batches" "$1" <<'PYTHON'
import sys, time, torch
from diffusers import StableDiffusionPipeline
folder, device, steps, eager, compiled = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
wait = torch.cuda.synchronize if device == "cuda" else lambda: None
dtype = torch.float16 if device == "cuda" else torch.float32
pipe = StableDiffusionPipeline.from_pretrained(
    folder, torch_dtype=dtype, safety_checker=None, feature_extractor=None, requires_safety_checker=False).to(device)
pipe.set_progress_bar_config(disable=True)
def measure(name, batches):
    for batch in batches:
        pipe(["a lighthouse at dusk"] * batch, num_inference_steps=3)
        wait()
        start = time.time()
        pipe(["a lighthouse at dusk"] * batch, num_inference_steps=steps)
        wait()
        print(f"diffusers {name} {dtype} batch {batch:2}: {batch / (time.time() - start):.3f} images/s", flush=True)
if compiled:
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.unet = torch.compile(pipe.unet, mode="max-autotune")
    measure("compiled", map(int, compiled.split()))
else:
    measure("eager", map(int, eager.split()))
PYTHON
}

part3() {
  if [ "$rehearse" = 0 ]; then
    stage 40 "random SD 1.5" python3 "$pack/scripts/make_random_sd15_ldm.py" --layout diffusers "$work/sd15"
  else
    cp -r "$pack/models/tiny_sd1" "$work/sd15"
  fi
  stage 40 "start" bash -c start_up
  [ "$rehearse" != 0 ] || stage 60 "plans tuned" bash -c tune
  stage 85 "diffuse-batch, strict" bash -c strict
  stage 90 "diffuse-batch, tuned and --fast" bash -c tuned_and_fast
  stage 25 "time per op" bash -c per_op
  stage 60 "diffusers" bash -c peers
  # What is left of the seven minutes, two at least: the compiler may need more.
  local left=$((420 - SECONDS))
  [ -z "$compiled" ] || stage $((left > 120 ? left : 120)) "diffusers compiled" bash -c 'peers "$compiled"'
}

if [ "$1" = pack ]; then
  pack "$2" "$3"
  exit
fi
case $1 in 1 | 2 | 3) ;; *) usage ;; esac
pack=$(cd "$2" && pwd) || exit 2
mkdir -p "$3" || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find_libraries
export -f render same_bytes seconds_of speed start_up tune strict tuned_and_fast per_op peers
export pack work device dtype steps batches compiled
report=$3/gpu_part$1.txt
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1
  "$pack/bin/diffuse-batch" --version
  "part$1"
  echo "part $1: $failed stages failed"
  [ "$failed" -eq 0 ]
} > "$report.new" 2>&1 &
job=$!
tail -n +1 -f --pid=$job "$report.new" 2>/dev/null
wait $job
status=$?
mv "$report.new" "$report"
exit $status
