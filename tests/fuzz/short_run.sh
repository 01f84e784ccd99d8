#!/usr/bin/env bash
# short_run.sh PROGRAM RUNS CORPUS: the corpus, then RUNS new inputs from a fixed seed. What it finds
# is printed (base64), and lies nowhere: the corpus in the tree stays as it is.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/new"
TMPDIR=$work "$1" -runs="$2" -seed=1 -timeout=10 -malloc_limit_mb=512 -print_final_stats=1 \
  -artifact_prefix="$work/" "$work/new" "$3" 2>&1 | tail -n 60
exit "${PIPESTATUS[0]}"
