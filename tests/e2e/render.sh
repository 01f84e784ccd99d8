#!/bin/bash
# What a run gives: pictures, paths, the plan, latents, the contact sheet.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --num-inference-steps 2 --threads 1 --progress none)
prompts 7 >"$work/seven.txt"
prompts 2 >"$work/two.txt"

# Seven prompts on two ranks: seven paths in list order and nothing else; whole pictures.
ends 0 "$mpirun" -np 2 "$program" "${settings[@]}" --seed 5 --output-dir "$work/a" "$work/seven.txt" \
  </dev/null
for i in 0 1 2 3 4 5 6; do echo "$work/a/00000$i.png"; done >"$work/wanted"
same "$out" "$work/wanted" "paths on standard output"
while read -r path; do
  is "$(png_size "$path")" 64x64 "size of $path"
done <"$work/wanted"
[ -s "$work/a/run.json" ] || fail "no run.json"
is "$(ls -A "$work/a" | grep -v '\.png$' | tr '\n' ' ')" "manifest.jsonl run.json " "other files in the folder"

# Fewer prompts than ranks; the list from a pipe; the same pictures.
ends 0 "$mpirun" -np 5 "$program" "${settings[@]}" --seed 5 --output-dir "$work/b" - \
  < <(cat "$work/two.txt")
is "$(wc -l <"$out")" 2 "number of paths"
for i in 0 1; do same "$work/a/00000$i.png" "$work/b/00000$i.png" "pictures of other rank counts"; done

# Several pictures of a line: seeds count on, so picture 1 of line 1 is not that of line 2.
ends 0 "$program" "${settings[@]}" --seed 5 --num-images-per-prompt 3 --output-dir "$work/c" \
  "$work/two.txt" </dev/null
is "$(pictures "$work/c" | wc -l)" 6 "number of pictures"
is "$(sums "$work/c" | cut -d' ' -f1 | sort -u | wc -l)" 6 "number of different pictures"
same "$work/a/000000.png" "$work/c/000000.png" "first pictures"

# The plan: on standard output, and nothing written.
ends 0 "$mpirun" -np 3 "$program" "${settings[@]}" --batch-size 2 --dry-run --output-dir "$work/no" \
  "$work/seven.txt" </dev/null
grep -q '^rank 0: 3 jobs in 2 batches' "$out" || fail "no plan of rank 0: $(cat "$out")"
grep -q '^rank 2: 2 jobs in 1 batch of' "$out" || fail "no plan of rank 2: $(cat "$out")"
grep -q '^memory of a rank: weights ' "$out" || fail "no memory in the plan"
[ ! -e "$work/no" ] || fail "--dry-run made the output folder"

# --version and --help, once.
for flag in --version --help; do
  ends 0 "$program" $flag </dev/null
  cp "$out" "$work/alone"
  ends 0 "$mpirun" -np 3 "$program" $flag </dev/null
  same "$out" "$work/alone" "$flag with and without mpirun"
done
sed -n '/^Run:/,/^Reporting:/p' "$out" | grep -q -- --dry-run || fail "--help has no --dry-run under Run"
grep -A 30 '^Options:' "$out" | grep -q -- '--overwrite\|--quiet' && fail "flags without a group"
ends 0 "$program" --version </dev/null
grep -q '^diffuse-batch [0-9]' "$out" || fail "--version names no version"
grep -q '^mpi: ' "$out" || fail "--version names no MPI library"

# Latents out and in again: the very files of the direct run.
ends 0 "$mpirun" -np 2 "$program" "${settings[@]}" --seed 5 --output-type latent \
  --output-dir "$work/latents" "$work/seven.txt" </dev/null
is "$(wc -l <"$out")" 7 "number of latent files"
cp "$out" "$work/latents.txt"
ends 0 "$mpirun" -np 2 "$program" "${settings[@]}" --input-type latent --output-dir "$work/d" \
  "$work/latents.txt" </dev/null
is "$(sums "$work/d")" "$(sums "$work/a")" "pictures decoded from latents"

# The contact sheet: a whole PNG that is none of the paths printed.
ends 0 "$program" "${settings[@]}" --seed 5 --contact-sheet "$work/sheet.png" --output-dir "$work/b" \
  "$work/two.txt" </dev/null
is "$(wc -l <"$out")" 2 "number of paths beside a contact sheet"
[ -n "$(png_size "$work/sheet.png")" ] || fail "no contact sheet"

# Flags from a file; the command line wins.
cat >"$work/flags.ini" <<INI
model = "$tiny"
dtype = f32
num-inference-steps = 9
seed = 5
threads = 1
INI
ends 0 "$program" --config "$work/flags.ini" --num-inference-steps 2 --output-dir "$work/e" \
  "$work/two.txt" </dev/null
for i in 0 1; do same "$work/a/00000$i.png" "$work/e/00000$i.png" "pictures by --config"; done

# A reader that goes away does not stop the run.
last="a closed pipe"
{ timeout -k 5 120 "$program" "${settings[@]}" --seed 5 --output-dir "$work/f" "$work/seven.txt" \
    </dev/null 2>"$err"; echo $? >"$work/code"; } | true
is "$(cat "$work/code")" 0 "exit code with standard output closed"
is "$(sums "$work/f")" "$(sums "$work/a")" "pictures with standard output closed"
finish
