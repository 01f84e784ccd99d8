#!/usr/bin/env bash
# long_run.sh PROGRAM SECONDS FOLDER: fuzzes from the corpus of the tree, keeps new inputs in
# FOLDER/new and findings in FOLDER. For example, after a build with -DDIFFUSE_FUZZ=ON:
#   tests/fuzz/long_run.sh build/asan/tests/fuzz/fuzz_safetensors 600 /tmp/fuzz_safetensors
set -eu
name=$(basename "$1")
mkdir -p "$3/new" "$3/tmp"
TMPDIR=$3/tmp "$1" -max_total_time="$2" -timeout=10 -malloc_limit_mb=512 -print_final_stats=1 \
  -artifact_prefix="$3/" "$3/new" "$(dirname "$0")/corpus/${name#fuzz_}"
