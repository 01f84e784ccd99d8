#!/bin/bash
# Ranks on several hosts under one mpirun, over tcp: the same pictures as on one; a host that has another
# model or list, or does not see the output folder, is refused; --stage-dir copies the model once a host.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/hosts.sh"
hosts 3
prompts 9 >"$work/list"
cp -r "$tiny" "$work/model"
settings=(--model "$work/model" --dtype f32 --seed 2 --num-inference-steps 2 --threads 1 --progress none)
ends 0 "$program" "${settings[@]}" --output-dir "$work/reference" "$work/list" </dev/null
wanted=$(sums "$work/reference")

# complete FOLDER: all pictures, equal to those of one host, and all paths in the order of the list.
complete() {
  is "$(sums "$1")" "$wanted" "pictures of several hosts"
  is "$(tr '\n' ' ' <"$out")" "$(printf "$1/%06d.png " {0..8})" "paths of several hosts"
}

# Three hosts, two ranks each. Rank 0 renders as the others do, and so is busy while they ask.
for schedule in static dynamic; do
  on_hosts 0 "0 1 2" 6 "$program" "${settings[@]}" --schedule $schedule \
    --output-dir "$work/$schedule" "$work/list"
  complete "$work/$schedule"
done
is "$(grep -o '"host":"h[0-9]"' "$work/static/manifest.jsonl" | sort -u | tr '\n' ' ')" \
  '"host":"h0" "host":"h1" "host":"h2" ' "hosts in the manifest"

# One copy a host, which the next run finds. Nobody but rank 0 opens the original then.
cp -r "$work/model" "$work/staged"
staged=(--model "$work/staged" "${settings[@]:2}" --stage-dir "$work/disk")
on_hosts 0 "0 1 2" 6 "$program" "${staged[@]}" --output-dir "$work/first" "$work/list"
complete "$work/first"
is "$(grep -c 'model copied to' "$err")" 1 "copies that root tells of"
for i in 0 1 2; do
  is "$(on $i ls "$work/disk" | wc -l)" 1 "number of copies on h$i"
done
for i in 1 2; do on $i mount -t tmpfs none "$work/staged"; done
on_hosts 0 "0 1 2" 6 "$program" "${staged[@]}" --output-dir "$work/second" "$work/list"
complete "$work/second"
is "$(ls "$work/disk" | wc -l)" 0 "copies outside the hosts"

# refused CODE PATTERN ARGUMENTS...: once, naming a host that is not rank 0's, and before any picture.
refused() {
  on_hosts "$1" "0 1 2" 6 "$program" "${@:3}"
  is "$(grep -c '^diffuse-batch: error' "$err")" 1 "number of messages"
  grep -q "^diffuse-batch: error\[$1\]: .*$2.*h2" "$err" || fail "no message like '$2': $(cat "$err")"
  is "$(wc -c <"$out")" 0 "bytes on standard output"
}

# Another list on h2; none at all is no matter, since rank 0 reads it.
echo "a dog" >"$work/other"
on 2 mount --bind "$work/other" "$work/list"
refused 10 "another list" "${settings[@]}" --output-dir "$work/none" "$work/list"
[ ! -e "$work/none" ] || fail "work was done with another list on one host"
on 2 umount "$work/list"

# h2 does not see the output folder.
mkdir "$work/apart"
on 2 mount -t tmpfs none "$work/apart"
refused 12 "does not see the output folder" "${settings[@]}" --output-dir "$work/apart/out" "$work/list"
is "$(find "$work/apart" -name '*.png')" "" "pictures"

# Another model on h2: the same shapes, one weight changed.
cp -r "$work/model" "$work/changed"
weights=$work/changed/unet/diffusion_pytorch_model.safetensors
chmod u+w "$weights"
printf '\x01\x02\x03\x3d' | dd of="$weights" bs=1 conv=notrunc status=none \
  seek=$(($(stat -c %s "$weights") - 4))
on 2 mount --bind "$work/changed" "$work/model"
refused 11 "model differs" "${settings[@]}" --output-dir "$work/none" "$work/list"
for i in 0 1 2; do on $i find "$work/disk" -mindepth 1 -delete; done
refused 11 "model differs" "${settings[@]}" --stage-dir "$work/disk" --output-dir "$work/none" \
  "$work/list"
is "$(on 2 ls "$work/disk")" "" "a copy of the wrong model"
[ ! -e "$work/none" ] || fail "work was done with another model on one host"
finish
