#!/bin/bash
# The manifest and what a run makes of it when it goes on: records, adopted and rewritten pictures,
# --resume, the lock of another host, the summary in JSON.
. "$(dirname "$0")/lib.sh"
folder=$work/folder
prompts 6 >"$work/list"
render() {
  ends "$1" "$mpirun" -np "${ranks:-2}" "$program" --device null --width 16 --height 16 --seed 5 \
    --progress none --json --output-dir "$folder" "${@:2}" "$work/list" </dev/null
}
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$out" | head -n 1; }
# records PATTERN: indices of the records that match.
records() { sed -n "/$1/s/^{\"index\":\([0-9]*\),.*/\1/p" "$folder/manifest.jsonl" | tr -d '\n'; }
# counts KEPT RENDERED ADOPTED REWRITTEN
counts() {
  is "$(number kept) $(number rendered) $(number adopted) $(number rewritten)" "$*" \
    "kept, rendered, adopted, rewritten"
  is "$(records '"status":"ok"')" 012345 "indices of the manifest"
  is "$(sums "$folder")" "$first" "pictures"
}

# A first run: every record tells the bytes of its picture.
render 12 --resume
[ ! -e "$folder" ] || fail "--resume began a run"
render 0
first=$(sums "$folder")
counts 0 6 0 0
is "$(sed 's/.*"path":"\([^"]*\)","sha256":"\([^"]*\)".*/\2  \1/' "$folder/manifest.jsonl")" \
  "$first" "hashes and paths of the manifest"
is "$(wc -l <"$out")" 1 "lines on standard output"
is "$(number exit_code) $(number open) $(number prompts)" "0 0 6" "exit code, open, prompts"
is "$(ls -A "$folder" | grep -v png | tr '\n' ' ')" "manifest.jsonl run.json " "other files"

# Nothing to do; a picture is gone; one is torn to the same length.
ranks=3 render 0 --resume
counts 6 0 0 0
rm "$folder/000001.png"
size=$(stat -c %s "$folder/000004.png")
head -c "$size" /dev/zero >"$folder/000004.png"
ranks=1 render 0
counts 4 2 0 0

# No manifest: every picture is adopted by the job it carries. A damaged line: that one.
rm "$folder/manifest.jsonl"
render 0
counts 6 0 6 0
is "$(records '"note":"adopted"')" 012345 "adopted pictures"
sed -i '3s/.$//' "$folder/manifest.jsonl"
render 0
counts 6 0 1 0

# Rewritten by another program, which left the job in the file: kept, told, recorded. Rewritten so
# that the job is lost: somebody's picture, refused.
cp "$folder/000002.png" "$work/000002.png"
{
  head -c -12 "$work/000002.png"
  printf '\x00\x00\x00\x0c\x74\x45\x58\x74\x6e\x6f\x74\x65\x00\x63\x68\x61\x6e\x67\x65\x64\xa5\x09\x6c\xe1'
  tail -c 12 "$work/000002.png"
} >"$folder/000002.png"
first=$(sums "$folder")
render 0
counts 6 0 0 1
grep -q '000002.png: changed by another program since it was rendered, kept' "$err" ||
  fail "a rewritten picture was not told: $(cat "$err")"
is "$(records '"note":"rewritten"')" 2 "rewritten pictures"
render 0
counts 6 0 0 0
sed -i 's/^a small picture/another picture/; 4q' "$work/list"
render 13
grep -q "line 1: '000000.png' is a picture of another job" "$err" || fail "not told: $(cat "$err")"
prompts 6 >"$work/list"

# A job that fails is recorded, with the reason, and tried again by the same command.
kept_folder=$folder
folder=$work/failing
mkdir -p "$folder/000003.png"
render 3 --overwrite
is "$(records '"status":"failed"') $(records '"status":"ok"')" "3 01245" "failed and whole"
is "$(number rendered) $(number failed)" "5 1" "rendered and failed"
grep -q '"failures":\[{"index":3,"line":4,"error":"' "$out" || fail "no failure in $(cat "$out")"
grep -q '"error":"[^"]*clear the name"' "$folder/manifest.jsonl" || fail "no reason is recorded"
rmdir "$folder/000003.png"
render 0
is "$(number kept) $(number rendered) $(number failed)" "5 1 0" "kept, rendered, failed"
is "$(records '"status":"ok"')" 012345 "indices of the manifest"
folder=$kept_folder

# The lock of a run on another host: respected while it gives signs of life.
rm "$folder/000005.png"
echo 'another-host 1 2' >"$folder/.diffuse-batch.lock"
render 13
grep -q "process 1 on host 'another-host'" "$err" || fail "no holder: $(cat "$err")"
touch -d '6 minutes ago' "$folder/.diffuse-batch.lock"
render 0
counts 5 1 0 0

# Without pictures, the manifest is all there is.
folder=$work/none
render 0 --output-type none
is "$(number rendered)" 6 "rendered"
render 0 --output-type none
is "$(number kept) $(number rendered)" "6 0" "kept and rendered without files"
is "$(ls -A "$folder" | tr '\n' ' ')" "manifest.jsonl run.json " "files"
finish
