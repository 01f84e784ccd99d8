#!/bin/bash
# How jobs reach the ranks: equal shares or by who is done first. The bytes are the same.
. "$(dirname "$0")/lib.sh"
prompts 9 >"$work/list"
settings=(--model "$tiny" --dtype f32 --seed 5 --num-inference-steps 2 --threads 1 --progress none
  --log-level debug)

# run NAME NP FLAGS...
run() {
  ends 0 "$mpirun" -np "$2" "$program" "${settings[@]}" --output-dir "$work/$1" "${@:3}" </dev/null
}

run static 2 --schedule static "$work/list"
wanted=$(sums "$work/static")
grep -q 'schedule: dynamic' "$err" && fail "--schedule static was not obeyed"
for np in 1 3 5; do
  run dynamic$np $np --schedule dynamic --batch-size 2 "$work/list"
  grep -q 'schedule: dynamic' "$err" || fail "--schedule dynamic was not obeyed"
  is "$(sums "$work/dynamic$np")" "$wanted" "pictures of $np ranks"
  # In the order of the list, whoever rendered them.
  is "$(cat "$out")" "$(ls -d "$work/dynamic$np"/*.png)" "paths of $np ranks"
done

# Each job is rendered once: what the ranks did adds up.
ends 0 "$mpirun" -np 3 "$program" "${settings[@]}" --schedule dynamic --json \
  --output-dir "$work/counted" "$work/list" </dev/null
is "$(grep -o '"host":"[^"]*","pictures":[0-9]*' "$out" | awk -F: '{ n += $NF } END { print n }')" 9 \
  "pictures that the ranks made"

# Fewer batches than ranks, and nothing to do at all.
head -n 2 "$work/list" >"$work/two"
run few 5 --schedule dynamic "$work/two"
is "$(sums "$work/few")" "$(head -n 2 <<<"$wanted")" "pictures of fewer jobs than ranks"
run few 3 --schedule dynamic "$work/two"
is "$(wc -l <"$out")" 2 "paths with nothing to do"

# By itself: static if all jobs cost the same, else dynamic.
run same 2 "$work/list"
grep -q 'schedule: dynamic' "$err" && fail "equal jobs were not shared out at once"
is "$(sums "$work/same")" "$wanted" "pictures"
for steps in 2 4 2 2 6; do
  echo "{\"prompt\": \"a cat\", \"num_inference_steps\": $steps}"
done >"$work/list.jsonl"
run unequal 2 "$work/list.jsonl"
grep -q 'schedule: dynamic' "$err" || fail "unequal jobs were shared out at once"
run unequal_static 1 --schedule static "$work/list.jsonl"
is "$(sums "$work/unequal")" "$(sums "$work/unequal_static")" "pictures of unequal jobs"

ends 2 "$program" "${settings[@]}" --apply-padding --schedule dynamic "$work/list" </dev/null
finish
