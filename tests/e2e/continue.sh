#!/bin/bash
# "The same command continues": what a folder already holds is kept, what is missing is rendered
# with the same bytes, and what belongs to another run is not touched.
. "$(dirname "$0")/lib.sh"
settings=(--dtype f32 --num-inference-steps 2 --threads 1 --progress none)
folder=$work/folder
prompts 5 >"$work/list"
prompts 6 >"$work/longer"

# Names, bytes, inodes and times of everything in the folder: a picture rendered again gets another
# inode, since it is renamed into place.
state() { (cd "$folder" && stat -c '%n %i %s %Y' -- * && sha256sum -- *); }
inode() { stat -c %i "$folder/$1"; }
render() {
  ends "$1" "$program" --model "${model:-$tiny}" "${settings[@]}" --output-dir "$folder" "${@:2}" \
    </dev/null
}

# untouched CODE PATTERN ARGUMENTS...: the run is refused with a message like that, nothing changes.
untouched() {
  local before
  before=$(state)
  render "$1" "${@:3}"
  grep -q "^diffuse-batch: error\[$1\]: .*$2" "$err" || fail "no message like '$2': $(cat "$err")"
  is "$(state)" "$before" "state of the folder"
  is "$(wc -c <"$out")" 0 "bytes on standard output"
}

# The seed is drawn; some pictures are lost, one is torn, one is empty.
render 0 "$work/list"
is "$(wc -l <"$out")" 5 "number of paths"
first=$(sums "$folder")
kept=$(inode 000004.png)
lost=$(inode 000001.png)
rm "$folder/000000.png"
head -c 100 "$folder/000001.png" >"$work/torn" && cp "$work/torn" "$folder/000001.png"
: >"$folder/000002.png"
render 0 "$work/list"
is "$(wc -l <"$out")" 5 "number of paths, kept ones too"
is "$(sums "$folder")" "$first" "pictures after a loss"
is "$(inode 000004.png)" "$kept" "inode of a kept picture"
[ "$(inode 000001.png)" != "$lost" ] || fail "the torn picture was written in place"

# Nothing to do: no picture is touched. A longer list, other rank counts and batch sizes go on.
before=$(cd "$folder" && stat -c '%n %i' -- *.png)
render 0 "$work/list"
is "$(cd "$folder" && stat -c '%n %i' -- *.png)" "$before" "inodes with nothing to do"
rm "$folder/000003.png"
ends 0 "$mpirun" -np 2 "$program" --model "$tiny" "${settings[@]}" --batch-size 2 \
  --output-dir "$folder" "$work/longer" </dev/null
is "$(wc -l <"$out")" 6 "number of paths of the longer list"
is "$(sums "$folder" | head -n 5)" "$first" "pictures after the longer list"
is "$(inode 000004.png)" "$kept" "inode of a kept picture"

# So do other ways of making the same pictures, which the run record does not name.
rm "$folder/000003.png"
ways=(--schedule dynamic --retries 2 --on-error stop --round-size 7 --batch-size 3 --apply-padding)
render 0 "${ways[@]:0:10}" "$work/longer"
rm "$folder/000002.png"
ends 0 "$program" --model "$tiny" "${settings[@]}" --schedule static "${ways[@]:8}" \
  --output-dir "$folder" - <"$work/longer"
is "$(sums "$folder" | head -n 5)" "$first" "pictures made in other ways"
is "$(grep -cE 'schedule"|retries|on_error|round_size|batch_size|padding' "$folder/run.json")" 0 \
  "ways of making pictures in the run record"

# Other settings, another model, another seed, a changed line, a file of somebody else.
untouched 13 "guidance_scale" --guidance-scale 3 "$work/longer"
model=$data/models/tiny_lcm untouched 13 "model_fingerprint" "$work/longer"
untouched 13 "base_seed" --seed 1 "$work/longer"
sed '3s/.*/a picture of something else/' "$work/longer" >"$work/changed"
untouched 13 "line 3: '000002.png'" "$work/changed"
echo 'not a picture' >"$folder/000006.png"
prompts 7 >"$work/seven"
untouched 13 "line 7: '000006.png'" "$work/seven"
cp "$folder/run.json" "$work/run.json"
echo '{"format": 1}' >"$folder/run.json"
untouched 13 "run.json" "$work/longer"
cp "$work/run.json" "$folder/run.json"

# --overwrite permits it: a changed line, then other settings.
render 0 --overwrite "$work/changed"
is "$(sums "$folder" | sed -n 1p)" "$(sed -n 1p <<<"$first")" "a picture of an equal line"
[ "$(sums "$folder" | sed -n 3p)" != "$(sed -n 3p <<<"$first")" ] || fail "line 3 was not replaced"
is "$(cat "$folder/000006.png")" "not a picture" "a file that the list does not name"
render 0 --overwrite --guidance-scale 3 "$work/changed"
[ "$(sums "$folder" | sed -n 1p)" != "$(sed -n 1p <<<"$first")" ] || fail "settings were not new"
untouched 13 "guidance_scale" "$work/changed"

# Killed in the middle: nothing under a final name is torn, and the same command completes the set.
# Meanwhile the folder is taken.
slow=(--model "$tiny" --dtype f32 --num-inference-steps 100 --threads 1 --progress none --seed 3)
prompts 8 >"$work/eight"
ends 0 "$program" "${slow[@]}" --output-dir "$work/reference" "$work/eight" </dev/null
folder=$work/killed
"$mpirun" -np 2 "$program" "${slow[@]}" --output-dir "$folder" "$work/eight" \
  >"$work/killed.out" 2>"$work/killed.err" </dev/null &
launcher=$!
for ((i = 0; i < 6000; ++i)); do
  [ -n "$(ls "$folder" 2>/dev/null | grep '\.png$')" ] && break
  sleep 0.01
done
ranks=$(cat "/proc/$launcher/task/$launcher/children")
kill -STOP "$launcher" $ranks  # so that it is not over before it is killed, however fast it renders
ends 13 "$program" "${slow[@]}" --output-dir "$folder" "$work/eight" </dev/null
grep -q 'error\[13\]: .*in use by another run (process ' "$err" || fail "no holder: $(cat "$err")"
kill -9 "$launcher" $ranks
wait "$launcher" 2>/dev/null
for pid in $ranks; do
  while [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
done
[ "$(pictures "$folder" | wc -l)" -lt 8 ] || fail "killed too late: all pictures were there"
for picture in $(pictures "$folder"); do
  same "$folder/$picture" "$work/reference/$picture" "pictures of a killed run"
done
[ -e "$folder/.diffuse-batch.lock" ] || fail "the killed run left no lock"
: >"$folder/.diffuse-batch.000005.png.1.1.part"
ends 0 "$mpirun" -np 3 "$program" "${slow[@]}" --output-dir "$folder" "$work/eight" </dev/null
is "$(sums "$folder")" "$(sums "$work/reference")" "pictures after a kill"
is "$(ls -A "$folder" | grep -v '\.png$' | tr '\n' ' ')" "manifest.jsonl run.json " \
  "other files in the folder"
is "$(sed -n 's/^{"index":\([0-9]*\),.*"status":"ok".*}$/\1/p' "$folder/manifest.jsonl" | tr '\n' ' ')" \
  "0 1 2 3 4 5 6 7 " "indices of the manifest"
finish
