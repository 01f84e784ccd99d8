#!/usr/bin/env bash
# The main job on a fresh machine: packages, build, and a render on two ranks. No GPU needed.
#   scripts/demo.sh [OUTPUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-outputs/demo}

scripts/install_packages.sh
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DDIFFUSE_TESTS=OFF
cmake --build build

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
mkdir -p "$(dirname "$out")"
mpirun -np 2 build/apps/diffuse-batch apps/default_model/prompts/demo.txt \
  --output-dir "$out" --num-inference-steps 25 --guidance-scale 2 --batch-size 4 --seed 1 \
  --contact-sheet "$out/contact_sheet.png" </dev/null
