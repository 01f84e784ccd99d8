#!/bin/bash
# Bad input: one clear message on standard error, once, the right exit code with and without mpirun,
# no hang, and no file under a final name.
. "$(dirname "$0")/lib.sh"
prompts 4 >"$work/list"

check_refusal() {
  local code=$1 pattern=$2
  is "$(grep -c '^diffuse-batch: ' "$err")" 1 "number of messages"
  grep -q "^diffuse-batch: error\[$code\]: .*$pattern" "$err" ||
    fail "no message like '$pattern' but: $(cut -c1-400 "$err") (after: ${last:0:300})"
  is "$(wc -c <"$out")" 0 "bytes on standard output"
  [ -d "$folder" ] && is "$(ls -A "$folder")" "$held" "files in the output folder"
}

# refused_alone CODE PATTERN ARGUMENTS...: with --model $model, --dtype $dtype, --output-dir $folder,
# which may hold only $held afterwards; standard input from $input.
model=$tiny dtype=f32 folder=$work/folder held= input=/dev/null
command_line() {
  echo "$program" --dtype "$dtype" --threads 1 --progress none
}
refused_alone() {
  ends "$1" $(command_line) --model "$model" --output-dir "$folder" "${@:3}" <"$input"
  check_refusal "$1" "$2"
  is "$(grep -vc " info: " "$err")" 1 "number of lines on standard error, notices aside"
}
refused() {
  refused_alone "$@"
  ends "$1" "$mpirun" -np 3 $(command_line) --model "$model" --output-dir "$folder" "${@:3}" \
    <"$input"
  check_refusal "$1" "$2"
}

# Lists.
: >"$work/empty"
printf '\n  \n\t\r\n' >"$work/blank"
printf 'a cat\na d\xc3\x28og\n' >"$work/latin"
printf 'a cat\0a dog\n' >"$work/nul"
{ head -c 10000000 /dev/zero | tr '\0' a; echo; } >"$work/long"
refused 10 "no prompts" "$work/empty"
refused 10 "no prompts" "$work/blank"
refused 10 "line 2.*UTF-8" "$work/latin"
refused 10 "line 1.*NUL" "$work/nul"
refused 10 "line 1.*65536" "$work/long"
refused 10 "there is no such file\|No such file" "$work/missing"
refused 10 "folder\|directory" "$work"
# Standard input comes in rounds: a wrong line is a job that failed, and the others are rendered.
for launch in "" "$mpirun -np 3"; do
  ends 3 $launch $(command_line) --model "$model" --num-inference-steps 1 \
    --output-dir "$work/stream${launch:+s}" - <"$work/latin"
  grep -q "error: picture 1 failed.*line 2.*UTF-8" "$err" || fail "line 2 is not named: $(cat "$err")"
  is "$(pictures "$work/stream${launch:+s}")" "000000.png" "pictures of the lines that are right"
done
refused_alone 10 "no prompts" -
if [ "$(id -u)" != 0 ]; then
  cp "$work/list" "$work/secret" && chmod 000 "$work/secret"
  refused 10 "ermission denied" "$work/secret"
else
  echo "left out: an unreadable list (the superuser reads every file)"
fi

# Model folders: copies of links, in which one file is replaced.
copy_model() {
  model=$work/model
  rm -rf "$model"
  cp -rs "$tiny" "$model"
}
own() {  # own FILE: a file of its own in place of the link
  cp --remove-destination "$tiny/$1" "$model/$1"
}
unet=unet/diffusion_pytorch_model.safetensors
model=$work/nowhere refused 11 "nowhere" "$work/list"
copy_model && rm -r "$model/vae" "$model/unet"
refused 11 "unet.*vae\|vae.*unet" "$work/list"
copy_model && own $unet && truncate -s -1000 "$model/$unet"
refused 11 "$unet.*bytes" "$work/list"
copy_model && own $unet && printf '\xff\xff\xff\xff\xff\xff\xff\x7f{}' >"$model/$unet"
refused 11 "$unet" "$work/list"
copy_model && own $unet &&
  printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' >"$model/$unet"
refused 11 "$unet.*[Gg]it.LFS" "$work/list"
copy_model && own $unet && LC_ALL=C sed -i 's/"shape":\[12,4,3,3\]/"shape":[4,12,3,3]/' "$model/$unet"
refused 11 "conv_in.weight.*4, \?12, \?3, \?3" "$work/list"
copy_model && own $unet &&
  printf '\0\0\xc0\x7f' | dd of="$model/$unet" bs=1 conv=notrunc status=none \
    seek=$(($(stat -c %s "$model/$unet") - 4))
refused 11 "$unet.*\(finite\|NaN\)" "$work/list"
copy_model && own unet/config.json && sed -i 's/"silu"/"mish"/' "$model/unet/config.json"
refused 11 "unet/config.json.*act_fn" "$work/list"
copy_model && own unet/config.json && sed -i 's/"in_channels": 4/"in_channels": 9/' \
  "$model/unet/config.json"
refused_alone 11 "unet" "$work/list"
copy_model && own unet/config.json && echo '{' >"$model/unet/config.json"
refused_alone 11 "unet/config.json" "$work/list"
model=$tiny

# Output folders.
touch "$work/file"
folder=$work/file refused 12 "no folder" "$work/list"
folder=$work/no/folder refused 12 "folder above it is missing" "$work/list"
ln -s "$work/nothing" "$work/link"
folder=$work/link refused_alone 12 "link" "$work/list"
refused_alone 12 "contact sheet.*missing" --contact-sheet "$work/no/sheet.png" "$work/list"
refused_alone 12 "contact sheet.*folder" --contact-sheet "$work" "$work/list"
mkdir "$work/disk"
if mount -t tmpfs -o size=100k none "$work/disk" 2>/dev/null; then
  cleanups+=("umount $work/disk")
  dd if=/dev/zero of="$work/disk/full" bs=4096 2>/dev/null
  folder=$work/disk held=full refused 12 "space" "$work/list"
  mount -o remount,ro "$work/disk"
  folder=$work/disk held=full refused 12 "[Rr]ead-only" "$work/list"
else
  echo "left out: a full and a read-only folder (mounting needs the superuser)"
fi
if [ "$(id -u)" != 0 ]; then
  mkdir -m 555 "$work/closed"
  folder=$work/closed refused 12 "ermission denied" "$work/list"
fi

# Flags.
usage() { refused_alone 2 "$@"; }
refused 2 "nonsense" --nonsense "$work/list"
refused 2 "width" --width 7 "$work/list"
usage 'u{1B}' "--$(printf '\033')[31m" "$work/list"
usage "multiple" --height 17 "$work/list"
usage "scheduler.*fastest" --scheduler fastest "$work/list"
usage "num-inference-steps" --num-inference-steps 0 "$work/list"
usage "num-inference-steps" --num-inference-steps abc "$work/list"
usage "num-inference-steps" --num-inference-steps -1 "$work/list"
usage "num-inference-steps" --num-inference-steps 1e9 "$work/list"
usage "num-inference-steps" --num-inference-steps 1.5 "$work/list"
usage "guidance-scale" --guidance-scale nan "$work/list"
usage "guidance-scale" --guidance-scale inf "$work/list"
usage "guidance-scale" --guidance-scale 7,5 "$work/list"
usage "seed" --seed -1 "$work/list"
usage "seed" --seed 99999999999999999999 "$work/list"
usage "seed" --seed 1 --seed 2 "$work/list"
usage "seed" --seed "" "$work/list"
usage "width" --width -8 "$work/list"
usage "width" --width 99999999999 "$work/list"
usage "batch-size" --batch-size 0 "$work/list"
usage "eta" --eta 2 "$work/list"
usage "clip-skip" --clip-skip 100 "$work/list"
usage "noise-grid" --noise-grid 4 "$work/list"
usage "output-type" --output-type jpeg "$work/list"
usage "contact-sheet" --output-type latent --contact-sheet "$work/sheet.png" "$work/list"
usage "log-level" --log-level loud "$work/list"
usage "log" --log-file "$work/file/log" "$work/list"
usage "num-images-per-prompt" --num-images-per-prompt 0 "$work/list"
usage "prompt list" --seed 1
usage "more" "$work/list" "$work/more"
usage "no.ini" --config "$work/no.ini" "$work/list"
echo 'no-such-flag = 3' >"$work/unknown.ini"
usage "no-such-flag" --config "$work/unknown.ini" "$work/list"
echo 'seed = many' >"$work/bad.ini"
usage "seed" --config "$work/bad.ini" "$work/list"
folder= usage "output-dir" "$work/list"

# A CPU without bf16 (a limit set to the math library makes one).
export DIFFUSE_BATCH_ISA=avx2
dtype=bf16 refused 14 "bf16" "$work/list"
finish
