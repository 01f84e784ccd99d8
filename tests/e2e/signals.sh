#!/bin/bash
# Requests to stop: USR1 ends a run after the batches in hand, TERM, INT and HUP drop them; whoever
# sees the request, all ranks end, the run record says 75, and the same command continues. No
# picture of the long runs could be finished in the time that a test may take, so that ending at all
# shows that the batch was dropped.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --threads 1 --seed 3 --progress none)
long=(--num-inference-steps 900 --width 512 --height 512)
short=(--num-inference-steps 60)
prompts 12 >"$work/list"
ends 0 "$program" "${settings[@]}" "${short[@]}" --output-dir "$work/reference" "$work/list" </dev/null

# begin NP FLAGS...: starts a run in $folder and waits until it renders. $launcher is its process,
# $ranks those of the ranks.
begin() {
  local np=$1
  shift
  rm -rf "$folder"
  if [ "$np" = 0 ]; then
    "$program" "${settings[@]}" "$@" --output-dir "$folder" "$work/list" \
      >"$out" 2>"$err" </dev/null &
  else
    "$mpirun" -np "$np" "$program" "${settings[@]}" "$@" --output-dir "$folder" "$work/list" \
      >"$out" 2>"$err" </dev/null &
  fi
  launcher=$!
  last="$*"
  await "[ -f $folder/run.json ]"
  ranks=($launcher)
  [ "$np" = 0 ] || ranks=($(cat "/proc/$launcher/task/$launcher/children"))
}

await() {
  local i
  for ((i = 0; i < 2400; ++i)); do
    eval "$1" && return
    sleep 0.05
  done
  fail "waited in vain: $1"
}

# stopped CODE WHAT: the run has ended so, its record says 75, nothing is torn or left behind.
stopped() {
  local got
  await "! kill -0 $launcher 2>/dev/null"
  kill -9 "$launcher" "${ranks[@]}" 2>/dev/null
  wait "$launcher"
  got=$?
  is "$got" "$1" "exit code after $2"
  grep -q '"exit_code": 75' "$folder/run.json" || fail "$2: the record says $(cat "$folder/run.json")"
  grep -q 'error\[75\]: stopped on request; the same command continues' "$err" ||
    fail "$2: no message: $(cat "$err")"
  is "$(ls -A "$folder" | grep -c -e '\.part$' -e '\.lock$')" 0 "temporaries and locks after $2"
}

# dropped CODE WHAT: so it has, and no picture was finished.
dropped() {
  stopped "$@"
  is "$(pictures "$folder" | wc -l)" 0 "pictures after $2"
}

# continues: the same command makes the set complete, equal to the undisturbed one.
continues() {
  ends 0 "$mpirun" -np 2 "$program" "${settings[@]}" "$@" --output-dir "$folder" "$work/list" </dev/null
  is "$(sums "$folder")" "$(sums "$work/reference")" "pictures after the same command"
}
folder=$work/folder

# Each ending signal, with the program alone.
for signal in TERM HUP; do
  begin 0 "${long[@]}"
  kill -$signal "${ranks[0]}"
  dropped 75 "SIG$signal"
done
# Background jobs of a script ignore INT, and so does the program then; env gives it back.
rm -rf "$folder"
env --default-signal=INT "$program" "${settings[@]}" "${long[@]}" --output-dir "$folder" \
  "$work/list" >"$out" 2>"$err" </dev/null &
launcher=$!
ranks=($launcher)
await "[ -f $folder/run.json ]"
kill -INT "$launcher"
dropped 75 SIGINT

# USR1: batches of two are finished, and not all of them.
begin 0 "${short[@]}" --batch-size 2
await "[ -n \"\$(pictures $folder)\" ]"
kill -USR1 "${ranks[0]}"
kill -USR1 "${ranks[0]}"
stopped 75 SIGUSR1
count=$(pictures "$folder" | wc -l)
[ "$count" -lt 12 ] || fail "USR1 came too late"
is $((count % 2)) 0 "pictures of a batch that was not finished"
for picture in $(pictures "$folder"); do
  same "$folder/$picture" "$work/reference/$picture" "pictures after SIGUSR1"
done
continues "${short[@]}"

# Only one rank sees it, whichever, and under both schedules.
begin 3 "${long[@]}"
kill -TERM "${ranks[1]}"
dropped 75 "SIGTERM to rank 1"
begin 3 "${long[@]}" --schedule dynamic
kill -HUP "${ranks[0]}"
dropped 75 "SIGHUP to rank 0"
begin 2 "${short[@]}" --schedule dynamic
kill -USR1 "${ranks[1]}"
stopped 75 "SIGUSR1 to rank 1"
continues "${short[@]}"

# The launcher passes USR1 on as it is. TERM it turns into CONT, then TERM, then KILL, a second
# each, and returns 1: the record holds the truth.
begin 2 "${short[@]}"
kill -USR1 "$launcher"
stopped 75 "SIGUSR1 to the launcher"
begin 2 "${long[@]}"
kill -TERM "$launcher"
dropped 1 "SIGTERM to the launcher"

# A second one ends the process at once, even where it waits for a rank that does not move.
begin 2 "${long[@]}"
kill -STOP "${ranks[1]}"
kill -TERM "${ranks[0]}"
sleep 0.5
kill -TERM "${ranks[0]}"
await "! kill -0 ${ranks[0]} 2>/dev/null"
kill -CONT "${ranks[1]}"
await "! kill -0 $launcher 2>/dev/null"
wait "$launcher"
is $? 75 "exit code after a second SIGTERM"

# A rank that is killed ends the job, with a message that names it.
begin 3 "${short[@]}"
kill -KILL "${ranks[1]}"
await "! kill -0 $launcher 2>/dev/null"
wait "$launcher"
is $? 137 "exit code after a killed rank"
grep -q 'rank 1 .*signal 9' "$err" || fail "the message does not name the rank: $(cat "$err")"
continues "${short[@]}"
finish
