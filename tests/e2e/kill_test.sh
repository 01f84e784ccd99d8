#!/bin/bash
# Runs that are killed at random points, each followed by the same command: afterwards the folder
# holds exactly the full set, every picture with the bytes of an undisturbed run, one record each in
# the manifest, and nothing else.
#   kill_test.sh PROGRAM MPIRUN TEST_DATA [RUNS [RENDERING [SEED]]]
# RUNS of them (20), of which RENDERING (5) with the model that ships, batches of two, the others
# with --device null. The same SEED (1) makes the same choices; times are those of the machine.
. "$(dirname "$0")/lib.sh"
runs=${4:-20}
rendering=${5:-5}
seed=${6:-1}
model=$(cd "$(dirname "$0")/../../apps/default_model" && pwd)

# What killed runs leave behind is kept apart and removed; it would fill the memory in the end.
export OMPI_MCA_btl_vader_backing_directory=$TMPDIR

# What is killed, and how. The points are those of DIFFUSE_BATCH_FAULT: a rank dies in its tracks.
kinds=(rank root launcher all before-record term usr1 before-merge inside-record twice after-record
  after-merge)
declare -A count
torn=0 adopted=0 kept=0 slowest=0 redone=0 partial=0

# now: milliseconds
now() { local t=$EPOCHREALTIME; echo $((${t%.*} * 1000 + 10#${t#*.} / 1000)); }
# gone PID: ended, or waiting for bash to take note of that, which may happen at any moment
gone() { ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null; }
# state PID: what the kernel says it does
state() { grep -h '^State' "/proc/$1/status"; cat "/proc/$1/wchan"; tr '\0' ' ' <"/proc/$1/cmdline"; }

# subject null|model: the arguments of a run, its number of pictures, and how long it takes.
subject() {
  if [ "$1" = model ]; then
    pictures_wanted=12
    arguments=(--model "$model" --num-inference-steps 5 --batch-size 2 --threads 1)
  else
    pictures_wanted=60
    arguments=(--device null --null-ms 30 --batch-size 3 --width 32 --height 32)
  fi
  arguments+=(--seed 11 --progress none --json)
  list=$work/$1.list
  reference=$work/$1.reference
  [ -e "$reference" ] && return
  prompts "$pictures_wanted" >"$list"
  local start
  start=$(now)
  ends 0 "$mpirun" -np 2 "$program" "${arguments[@]}" --output-dir "$reference" "$list" </dev/null
  eval "lasts_$1=$(($(now) - start))"
  eval "renders_$1=$(sed -n 's/.*"rendering":\([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p' "$out" |
    sed 's/^0*//')"
}

# start RANKS [FAULT RANK]: a run in the background, $launcher.
start() {
  "$mpirun" -np "$1" sh -c 'if [ "$OMPI_COMM_WORLD_RANK" = "$2" ]; then
      DIFFUSE_BATCH_FAULT=$1; export DIFFUSE_BATCH_FAULT; fi; shift 2; exec "$@"' \
    - "${2:-}" "${3:-none}" "$program" "${arguments[@]}" --schedule "$schedule" \
    --output-dir "$folder" "$list" \
    >"$work/killed.out" 2>"$work/killed.err" </dev/null &
  launcher=$!
  disown "$launcher"  # bash need not tell of its death
}

# strike KIND RANKS: the run dies, or is asked to stop, after a random part of its time.
strike() {
  local kind=$1 ranks=$2 children wait_ms began pid
  case $kind in
    *-record) start "$ranks" "$kind:$((1 + RANDOM % 4))" "$((RANDOM % ranks))" ;;
    *-merge) start "$ranks" "$kind:1" 0 ;;
    *)
      start "$ranks"
      # One in four anywhere, also before the first picture; the others while pictures are made.
      wait_ms=$((RANDOM * 8 % lasts))
      if [ $((RANDOM % 4)) -ne 0 ]; then
        for ((i = 0; i < 1000; ++i)); do
          [ -e "$folder/run.json" ] && break
          sleep 0.02
        done
        wait_ms=$((RANDOM % renders))
      fi
      sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
      ;;
  esac
  children=$(cat "/proc/$launcher/task/$launcher/children" 2>/dev/null)
  began=$(now)
  # shellcheck disable=SC2086
  set -- $children
  case $kind in
    rank) [ $# -gt 0 ] && shift $((RANDOM % $#)) && kill -9 "$1" 2>/dev/null ;;
    root) [ $# -gt 0 ] && kill -9 "$1" 2>/dev/null ;;
    launcher) kill -9 "$launcher" 2>/dev/null ;;
    all | twice) kill -9 "$launcher" "$@" 2>/dev/null ;;
    term) kill -TERM "$launcher" 2>/dev/null ;;
    usr1) kill -USR1 "$launcher" 2>/dev/null ;;
  esac
  # Waits; a launcher that hangs is a failure.
  for ((i = 0; i < 600; ++i)); do
    gone "$launcher" && break
    sleep 0.05
  done
  gone "$launcher" || fail "run $run: the launcher still runs 30 s after '$kind': $(state "$launcher")"
  kill -9 "$launcher" 2>/dev/null
  for pid in "$@"; do
    for ((i = 0; i < 300; ++i)); do
      gone "$pid" && break
      sleep 0.05
    done
    gone "$pid" || fail "run $run: a rank still runs 15 s after '$kind': $(state "$pid")"
  done
  case $kind in
    rank | root)
      took=$(($(now) - began))
      [ "$took" -gt "$slowest" ] && slowest=$took
      [ "$took" -lt 10000 ] || fail "run $run: the job ended $took ms after a rank was killed"
      ;;
  esac
  rm -rf "${TMPDIR:?}"/*
}

# whole_so_far: every file under a final name has the bytes of the undisturbed run.
whole_so_far() {
  for picture in $(pictures "$folder" 2>/dev/null); do
    cmp -s "$folder/$picture" "$reference/$picture" || {
      torn=$((torn + 1))
      fail "run $run ($kind): $picture is torn or different right after the kill"
    }
  done
}

number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$out" | head -n 1; }

for ((run = 1; run <= runs; ++run)); do
  RANDOM=$((seed * 1000 + run))
  what=null
  [ "$run" -le "$rendering" ] && what=model
  subject "$what"
  eval "lasts=\$lasts_$what renders=\$renders_$what"
  kind=${kinds[$(((run - 1) % ${#kinds[@]}))]}
  count[$kind]=$((${count[$kind]:-0} + 1))
  schedule=static
  [ $((RANDOM % 3)) -eq 0 ] && schedule=dynamic
  folder=$work/run
  rm -rf "$folder"
  strike "$kind" $((2 + RANDOM % 2))
  [ "$kind" = twice ] && strike all $((1 + RANDOM % 3))
  mkdir -p "$folder"
  whole_so_far
  before=$(cd "$folder" && stat -c '%n %i' -- *.png 2>/dev/null)
  there=$(pictures "$folder" | wc -l)

  ends 0 "$mpirun" -np $((1 + RANDOM % 3)) "$program" "${arguments[@]}" --output-dir "$folder" \
    "$list" </dev/null
  is "$(sums "$folder")" "$(sums "$reference")" "run $run ($kind): the set of pictures"
  is "$(ls -A "$folder" | grep -v '\.png$' | tr '\n' ' ')" "manifest.jsonl run.json " \
    "run $run ($kind): other files"
  is "$(awk '{ if (index($0, "{\"index\":" NR - 1 ",") != 1 || !/"status":"ok"/) print NR }
    END { print "of " NR }' "$folder/manifest.jsonl")" "of $pictures_wanted" \
    "run $run ($kind): records out of order, twice, missing or failed"
  # What was there was not rendered again: a picture renamed into place has another inode.
  is "$(cd "$folder" && stat -c '%n %i' -- *.png | grep -Fxf <(echo "$before"))" "$before" \
    "run $run ($kind): pictures that were there"
  is "$(number kept)" "$there" "run $run ($kind): pictures kept"
  is "$(number rendered)" "$((pictures_wanted - there))" "run $run ($kind): pictures rendered"
  kept=$((kept + there))
  [ "$there" -gt 0 ] && [ "$there" -lt "$pictures_wanted" ] && partial=$((partial + 1))
  adopted=$((adopted + $(number adopted)))
  redone=$((redone + pictures_wanted - there))
  echo "run $run, $kind, $what: $there of $pictures_wanted pictures were there"
done
echo "$runs runs killed, $((rendering < runs ? rendering : runs)) of them rendering:" \
  "$torn torn or different pictures, $kept kept, $adopted of these adopted, $redone rendered after" \
  "the kill; $partial runs died between their first and their last picture; slowest end after" \
  "the death of a rank $slowest ms"
for kind in "${kinds[@]}"; do echo "  $kind: ${count[$kind]:-0}"; done
finish
