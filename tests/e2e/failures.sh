#!/bin/bash
# Jobs that fail while they are rendered: --retries, --on-error, and the same command after them. Two
# of seven prompts ask for a guidance so strong that their latents overflow.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --seed 7 --num-inference-steps 2 --threads 1 --progress none)
for i in 0 1 2 3 4 5 6; do
  scale=7.5
  [ $i = 2 ] || [ $i = 5 ] && scale=1e38
  echo "{\"prompt\": \"a cat, number $i\", \"guidance_scale\": $scale}"
done >"$work/list.jsonl"
sed 's/1e38/7.5/' "$work/list.jsonl" >"$work/healthy.jsonl"
ends 0 "$program" "${settings[@]}" --output-dir "$work/reference" "$work/healthy.jsonl" </dev/null
wanted=$(sums "$work/reference" | sed '/00000[25]/d')

# run CODE NP FOLDER FLAGS...
run() {
  ends "$1" "$mpirun" -np "$2" "$program" "${settings[@]}" --output-dir "$work/$3" "${@:4}" \
    "$work/list.jsonl" </dev/null
}
# failures FOLDER: indices of those that the manifest holds.
failures() { sed -n 's/^{"index":\([0-9]*\),.*"status":"failed".*/\1/p' "$work/$1/manifest.jsonl" | tr '\n' ' '; }

# All others are made; each failure is tried as often as asked for, and told once.
for schedule in static dynamic; do
  for retries in 0 2; do
    name=$schedule$retries
    run 3 2 $name --schedule $schedule --retries $retries
    is "$(sums "$work/$name")" "$wanted" "pictures beside failures ($name)"
    is "$(failures $name)" "2 5 " "recorded failures ($name)"
    is "$(wc -l <"$out")" 5 "paths beside failures ($name)"
    is "$(grep -c 'picture [25], tried again' "$err")" $((2 * retries)) "retries ($name)"
    is "$(grep -c 'picture [25] failed' "$err")" 2 "messages ($name)"
    grep -q 'error\[3\]: 2 pictures failed, named above; all others are there' "$err" ||
      fail "no last line ($name): $(cat "$err")"
  done
done
# The same command tries the failures again, and nothing else.
before=$(cd "$work/static0" && stat -c '%n %i' -- *.png)
run 3 1 static0
is "$(cd "$work/static0" && stat -c '%n %i' -- *.png)" "$before" "inodes after a second try"
is "$(grep -c 'picture [25] failed' "$err")" 2 "messages of a second try"

# --on-error stop: after the batch in hand nothing more is begun, on any rank; the same command goes
# on from there, to the next failure, and then without the flag to the end.
run 3 1 stop --on-error stop --batch-size 1
is "$(pictures "$work/stop" | tr '\n' ' ')" "000000.png 000001.png " "pictures before the failure"
is "$(failures stop)" "2 " "failures when the run ended"
grep -q 'error\[3\]: 1 picture failed, named above; the run ended there' "$err" ||
  fail "no last line: $(cat "$err")"
grep -q '"exit_code": 3' "$work/stop/run.json" || fail "the record says $(cat "$work/stop/run.json")"
run 3 3 stop --on-error stop
[ "$(pictures "$work/stop" | wc -l)" -le 5 ] || fail "pictures that failed are there"
run 3 2 stop
is "$(sums "$work/stop")" "$wanted" "pictures after a run that ended at its first failure"
is "$(failures stop)" "2 5 " "failures at the end"

# On standard input the list ends with the round of the failure.
ends 3 "$program" "${settings[@]}" --output-dir "$work/rounds" --round-size 2 --on-error stop \
  --input-format jsonl - <"$work/list.jsonl"
is "$(failures rounds)" "2 " "failures of rounds"
[ "$(pictures "$work/rounds" | wc -l)" -le 3 ] || fail "rounds after the failure were rendered"
finish
