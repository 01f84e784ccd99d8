#!/bin/bash
# A picture's bytes depend on its job alone: not on rank counts, batch sizes, threads or padding.
. "$(dirname "$0")/lib.sh"
prompts 7 >"$work/list"
run=0

# equal LAUNCH... -- FLAGS...: the pictures of a run like that are those of the first one.
equal() {
  local launch=()
  while [ "$1" != -- ]; do launch+=("$1") && shift; done
  shift
  run=$((run + 1))
  ends 0 "${launch[@]+"${launch[@]}"}" "$program" "${settings[@]}" --output-dir "$work/$run" "$@" \
    "$work/list" </dev/null
  is "$(wc -l <"$out")" 7 "number of paths"
  [ -n "${wanted:-}" ] || wanted=$(sums "$work/$run")
  is "$(sums "$work/$run")" "$wanted" "pictures"
}

# Ancestral noise, so that every step draws; a size that is no square and has odd latents.
settings=(--model "$tiny" --dtype f32 --seed 11 --scheduler euler_a --num-inference-steps 2
  --width 72 --height 40 --progress none --quiet)
equal -- --threads 1 --batch-size 1
equal -- --threads 2 --batch-size 4
equal "$mpirun" -np 1 -- --threads 2 --batch-size 2
equal "$mpirun" -np 2 -- --threads 1 --batch-size 4
equal "$mpirun" -np 2 -- --threads 2 --batch-size 1 --apply-padding
equal "$mpirun" -np 3 -- --threads 1 --batch-size 2 --apply-padding
equal "$mpirun" -np 5 -- --threads 1 --batch-size 4 --apply-padding
equal "$mpirun" -np 5 -- --threads 2 --batch-size 1
is "$(cut -d' ' -f1 <<<"$wanted" | sort -u | wc -l)" 7 "number of different pictures"

# The same with the other block types: linear projections, gelu, v-prediction.
wanted=
settings=(--model "$data/models/tiny_sd2" --dtype f32 --seed 11 --num-inference-steps 2
  --progress none --quiet)
equal -- --threads 1 --batch-size 1
equal "$mpirun" -np 3 -- --threads 2 --batch-size 4
finish
