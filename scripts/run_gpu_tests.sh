#!/usr/bin/env bash
# What only a GPU can show, in three parts of 5, 5 and 7 minutes, for a GPU machine without network that has the CUDA
# toolkit, PyTorch, and cuDNN 9 (PyTorch's own serves). Each part writes a report and ends with a status.
#   scripts/run_gpu_tests.sh pack BUILD PACK     on the building machine: programs and their libraries into folder PACK
#   scripts/run_gpu_tests.sh 1 PACK REPORTS      conformance of every op on the GPU; compute-sanitizer
#   scripts/run_gpu_tests.sh 2 PACK REPORTS      pictures beside diffusers (installed, or a wheel in PACK/wheels)
#   scripts/run_gpu_tests.sh 3 PACK REPORTS      pictures a second at 1, 4, 8 and 16 a batch, beside diffusers
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
[ $# -eq 3 ] || usage

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
  from=$(find / -name mca_btl_vader.so -not -path '/proc/*' 2>/dev/null | head -1)
  [ -z "$from" ] || cp -rL "$(dirname "$from")" "$to/lib/openmpi"
  cp -r "$root/scripts" "$root/tests/data/models" "$to/"
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
  stage 150 "every op on the GPU" "$pack/bin/test_cuda_device"
  local sanitizer tool
  sanitizer=$(command -v compute-sanitizer || echo "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer")
  [ -x "$sanitizer" ] || { echo "compute-sanitizer: not run, not found"; return; }
  for tool in memcheck racecheck initcheck; do
    stage 50 "$tool" "$sanitizer" --tool $tool --error-exitcode 9 "$pack/bin/test_cuda_device" "*definition*"
  done
}

part2() {
  local compare="$pack/scripts/compare_with_diffusers.py --program $pack/bin/diffuse-batch --extra=--device=cuda"
  stage 130 "small models, f32" python3 $compare "$pack"/models/tiny_*
  stage 170 "SD 1.5 shapes, f32" python3 $compare --full-size sd15 --dtype f32 --work "$work"
}

# render BATCH COUNT: seconds of wall time for COUNT pictures of 50 steps.
render() {
  local start end
  yes "a lighthouse at dusk" | head -n "$2" > "$work/list.txt"
  start=$(date +%s.%N)
  "$pack/bin/diffuse-batch" "$work/list.txt" --model "$work/sd15" --device cuda --dtype f16 --seed 1 \
    --batch-size "$1" --output-dir "$work/out" --overwrite --quiet > /dev/null || return 1
  end=$(date +%s.%N)
  awk -v a="$start" -v b="$end" 'BEGIN {print b - a}'
}

ours() {
  local batch one three
  for batch in 1 4 8 16; do
    one=$(render "$batch" "$batch") && three=$(render "$batch" $((3 * batch))) || return 1
    # Starting costs both runs the same.
    awk -v n="$batch" -v a="$one" -v b="$three" \
      'BEGIN {printf "diffuse-batch f16 batch %2d: %.3f images/s (start and one batch %.1f s)\n", n, 2 * n / (b - a), a}'
  done
}

peers() {
  python3 - "$work/sd15" <<'PYTHON'
import sys, time, torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1], torch_dtype=torch.float16, safety_checker=None).to("cuda")
pipe.set_progress_bar_config(disable=True)
def measure(name, batches):
    for batch in batches:
        pipe(["a lighthouse at dusk"] * batch, num_inference_steps=3)
        torch.cuda.synchronize()
        start = time.time()
        pipe(["a lighthouse at dusk"] * batch, num_inference_steps=50)
        torch.cuda.synchronize()
        print(f"diffusers {name} f16 batch {batch:2}: {batch / (time.time() - start):.3f} images/s", flush=True)
measure("eager", (1, 4, 8, 16))
pipe.unet.to(memory_format=torch.channels_last)
pipe.unet = torch.compile(pipe.unet, mode="max-autotune")
measure("compiled", (1, 8))
PYTHON
}

part3() {
  stage 60 "random SD 1.5" python3 "$pack/scripts/make_random_sd15_ldm.py" --layout diffusers "$work/sd15"
  export -f render ours
  export pack work
  stage 150 "diffuse-batch" bash -c ours
  export -f peers
  stage 200 "diffusers" bash -c peers
}

if [ "$1" = pack ]; then
  pack "$2" "$3"
  exit
fi
case $1 in 1 | 2 | 3) ;; *) usage ;; esac
pack=$(cd "$2" && pwd) || exit 2
mkdir -p "$3"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find_libraries
report=$3/gpu_part$1.txt
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1
  "part$1"
  echo "part $1: $failed stages failed"
} > >(tee "$report") 2>&1
exit $((failed > 0))
