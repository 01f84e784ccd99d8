#!/bin/bash
# A list on standard input is rendered as it comes, round by round: a mistake is a failure of its
# line alone, paths come before the input ends, and everything else is as with a file.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --seed 7 --num-inference-steps 2 --threads 1 --progress none)
prompts 7 >"$work/list"
ends 0 "$program" "${settings[@]}" --output-dir "$work/reference" "$work/list" </dev/null
wanted=$(sums "$work/reference")

# await CONDITION: until it holds, for two minutes.
await() {
  local i
  for ((i = 0; i < 2400; ++i)); do
    eval "$1" && return
    sleep 0.05
  done
  fail "waited in vain: $1"
}

# Rounds of two on three ranks, and one round of all.
ends 0 "$mpirun" -np 3 "$program" "${settings[@]}" --round-size 2 --output-dir "$work/rounds" - \
  <"$work/list"
is "$(sums "$work/rounds")" "$wanted" "pictures of rounds"
is "$(cat "$out")" "$(ls -d "$work"/rounds/*.png)" "paths of rounds"
is "$(wc -l <"$work/rounds/manifest.jsonl")" 7 "records of rounds"
ends 0 "$program" "${settings[@]}" --schedule dynamic --output-dir "$work/one" - <"$work/list"
is "$(sums "$work/one")" "$wanted" "pictures of one round"

# The same input again: everything is kept, and told.
before=$(cd "$work/rounds" && stat -c '%n %i' -- *.png)
ends 0 "$program" "${settings[@]}" --round-size 3 --output-dir "$work/rounds" - <"$work/list"
is "$(cd "$work/rounds" && stat -c '%n %i' -- *.png)" "$before" "inodes of kept pictures"
is "$(wc -l <"$out")" 7 "paths of kept pictures"

# Paths come while the input is open; a mistake fails its line, and counts.
mkfifo "$work/pipe"
"$mpirun" -np 2 "$program" "${settings[@]}" --output-dir "$work/slow" - \
  <"$work/pipe" >"$out" 2>"$err" &
launcher=$!
exec 3>"$work/pipe"
head -n 2 "$work/list" >&3
await "[ \$(wc -l <$out) = 2 ]"
printf 'caf\351\n\n' >&3
sed -n '4,$p' "$work/list" >&3
exec 3>&-
last="standard input with a mistake"
wait "$launcher"
is $? 3 "exit code"
is "$(sums "$work/slow")" "$(sed 3d <<<"$wanted")" "pictures around a mistake"
grep -q 'picture 2 failed .*line 3: .*UTF-8' "$err" || fail "the mistake is not told: $(cat "$err")"
is "$(grep -c '"status": *"failed"' "$work/slow/manifest.jsonl")" 1 "recorded failures"

# A later round that would replace pictures ends the run before it touches them.
sed '6s/.*/something else/' "$work/list" >"$work/changed"
ends 13 "$program" "${settings[@]}" --round-size 2 --output-dir "$work/rounds" - <"$work/changed"
grep -q "line 6: '000005.png'" "$err" || fail "the line is not named: $(cat "$err")"
is "$(sums "$work/rounds")" "$wanted" "pictures after a refused round"

# A request to stop is seen by all while rank 0 waits for a line, whichever rank gets it.
for rank in 0 1; do
  rm -rf "$work/wait"
  "$mpirun" -np 2 "$program" "${settings[@]}" --output-dir "$work/wait" - \
    <"$work/pipe" >"$out" 2>"$err" &
  launcher=$!
  exec 3>"$work/pipe"
  head -n 2 "$work/list" >&3
  await "[ \$(wc -l <$out) = 2 ]"
  ranks=($(cat "/proc/$launcher/task/$launcher/children"))
  kill -TERM "${ranks[$rank]}"
  await "! kill -0 $launcher 2>/dev/null"
  last="SIGTERM to rank $rank"
  wait "$launcher"
  is $? 75 "exit code"
  exec 3>&-
  grep -q '"exit_code": 75' "$work/wait/run.json" || fail "the record does not say 75"
done

ends 10 "$program" "${settings[@]}" --output-dir "$work/empty" - </dev/null
grep -q 'no prompts' "$err" || fail "an empty input: $(cat "$err")"
finish
