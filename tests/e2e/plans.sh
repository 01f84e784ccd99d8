# Plans of GPU kernels where there is no GPU: flags that have no effect say so and change no byte,
# flags that need one end with 14, contradictions with 2.
source "$(dirname "$0")/lib.sh"
prompts 2 > "$work/list.txt"
render=("$program" "$work/list.txt" --device cpu --model "$tiny" --num-inference-steps 2 --seed 3)

ends 0 "${render[@]}" --output-dir "$work/plain"
for flag in --fast "--plans=$work/nowhere.json"; do
  rm -rf "$work/with"
  ends 0 "${render[@]}" --output-dir "$work/with" "$flag"
  grep -q -- "${flag%%=*} has no effect on this device" "$err" || fail "nothing is said of $flag"
  is "$(sums "$work/with")" "$(sums "$work/plain")" "pictures with $flag"
  [ ! -e "$work/with/plans.json" ] || fail "plans were stored where there are none"
done
# A run goes on with or without a flag that has no effect.
ends 0 "${render[@]}" --output-dir "$work/with" --fast

ends 14 "$program" --tune-plans "$work/plans.json" --model "$tiny" --device cpu
grep -q "times the kernels of a GPU" "$err" || fail "no reason given"
[ ! -e "$work/plans.json" ] || fail "a table was written"
ends 2 "$program" --tune-plans "$work/plans.json" "$work/list.txt" --model "$tiny"
grep -q "leave the prompt list out" "$err" || fail "the list is not named"
ends 2 "$program" --tune-plans "$work/plans.json" --fast --model "$tiny"
ends 2 "${render[@]}" --output-dir "$work/both" --fast --plans "$work/plans.json"
[ ! -e "$work/both" ] || fail "a folder was made before the mistake was found"
finish
