#!/bin/bash
# A disk that fills up while pictures are written: exit code 20, nothing torn, and the same command
# continues once there is room.
. "$(dirname "$0")/lib.sh"
mkdir "$work/disk"
if ! mount -t tmpfs -o size=300k none "$work/disk" 2>/dev/null; then
  echo "left out: mounting a small disk needs the superuser"
  finish
fi
cleanups+=("umount $work/disk")
prompts 12 >"$work/list"
settings=(--model "$tiny" --dtype f32 --seed 2 --num-inference-steps 1 --width 128 --height 128
  --threads 1 --progress none)

ends 0 "$program" "${settings[@]}" --output-dir "$work/reference" "$work/list" </dev/null
[ "$(du -s "$work/reference" | cut -f1)" -gt 400 ] || fail "the pictures are too small for this test"
folder=$work/disk/out
ends 20 "$mpirun" -np 2 "$program" "${settings[@]}" --output-dir "$folder" "$work/list" </dev/null
is "$(grep -c '^diffuse-batch: error' "$err")" 1 "number of messages"
grep -q '^diffuse-batch: error\[20\]: .*[Nn]o space' "$err" || fail "no such message: $(cat "$err")"
some=$(pictures "$folder" | wc -l)
[ "$some" -gt 0 ] && [ "$some" -lt 12 ] || fail "$some pictures on the small disk"
for picture in $(pictures "$folder"); do
  same "$folder/$picture" "$work/reference/$picture" "pictures on a small disk"
done
is "$(ls -A "$folder" | grep '\.part$')" "" "temporary files"
is "$(wc -l <"$out")" "$some" "number of paths"

mount -o remount,size=4m "$work/disk"
ends 0 "$mpirun" -np 2 "$program" "${settings[@]}" --output-dir "$folder" "$work/list" </dev/null
is "$(sums "$folder")" "$(sums "$work/reference")" "pictures after the disk was enlarged"
finish
