#!/bin/bash
# Faults of the catalogue in tests/FAULTS.md that no other test makes: odd lists and folders, a standard
# output that nobody reads, storage that fails or a process that dies at each of its calls.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --num-inference-steps 1 --threads 1 --progress none --seed 4)
prompts 2 >"$work/list"
run=("$program" "${settings[@]}")
ends 0 "${run[@]}" --output-dir "$work/reference" "$work/list" </dev/null
wanted=$(sums "$work/reference")

# Row 10: prompts with control characters are text, and never reach a terminal as they are.
printf 'a \033[31mred\033[0m cat\na \xe2\x80\xae dog\n' >"$work/wild"
ends 0 "${run[@]}" --output-dir "$work/wild_out" "$work/wild" </dev/null
is "$(pictures "$work/wild_out" | tr '\n' ' ')" "000000.png 000001.png " "names of wild prompts"
sed '1s/$/ and more/' "$work/wild" >"$work/wilder"
ends 13 "${run[@]}" --output-dir "$work/wild_out" "$work/wilder" </dev/null
is "$(LC_ALL=C grep -c "$(printf '\033')" "$err")" 0 "lines with control characters"

# Rows 12 and 18: lists without any end, from a pipe and from standard input, are given up at the first
# mistake.
ends 10 "${run[@]}" --output-dir "$work/none" <(tr '\0' a </dev/zero) </dev/null
ends 10 "${run[@]}" --output-dir "$work/none" - < <(tr '\0' a </dev/zero)

# Row 13: a prompt of more tokens than the model takes is cut, with a warning for its line.
{ cat "$work/list"; printf 'cat %.0s' {1..90}; echo; } >"$work/long"
ends 0 "${run[@]}" --output-dir "$work/long_out" "$work/long" </dev/null
is "$(grep -c 'warn.*: line [0-9]*: .*more than' "$err")" 1 "warnings about a long prompt"
grep -q 'line 3: ' "$err" || fail "the line of the long prompt is not named: $(cat "$err")"

# Row 30: weights of a type that is none.
cp -r "$tiny" "$work/typed" && chmod -R u+w "$work/typed"
LC_ALL=C sed -i 's/"conv_out.bias":{"dtype":"F32"/"conv_out.bias":{"dtype":"I32"/' \
  "$work/typed/unet/diffusion_pytorch_model.safetensors"
ends 11 "$program" --model "$work/typed" "${settings[@]:2}" --output-dir "$work/none" "$work/list" </dev/null
grep -q 'error\[11\]: .*conv_out.bias.*I32' "$err" || fail "no tensor and type: $(cat "$err")"

# Row 35: links that lead nowhere or in a circle.
cp -rs "$tiny" "$work/looped"
ln -sfn loop "$work/looped/vae/config.json" && ln -s config.json "$work/looped/vae/loop"
ends 11 "$program" --model "$work/looped" "${settings[@]:2}" --output-dir "$work/none" "$work/list" </dev/null
grep -q 'error\[11\]: .*vae/config.json' "$err" || fail "a loop of links is not named: $(cat "$err")"

# Row 41: absurd values in configurations, named by file and key, without an attempt to allocate.
# absurd FILE KEY VALUE
absurd() {
  rm -rf "$work/absurd"
  cp -rs "$tiny" "$work/absurd"
  cp --remove-destination "$tiny/$1" "$work/absurd/$1"
  sed -i "s/\"$2\": [0-9.]*/\"$2\": $3/" "$work/absurd/$1"
  ends 11 "$program" --model "$work/absurd" "${settings[@]:2}" --output-dir "$work/none" "$work/list" </dev/null
  grep -q "error\[11\]: .*$1.*$2" "$err" || fail "$2 of $3 is not named: $(cat "$err")"
}
absurd unet/config.json layers_per_block 1000000000
absurd unet/config.json norm_num_groups 0
absurd vae/config.json scaling_factor 0
absurd scheduler/scheduler_config.json num_train_timesteps 0
absurd text_encoder/config.json num_attention_heads 0

# Row 57: latents that overflow give a failed picture, and no file.
ends 3 "$program" --model "$tiny" --dtype f32 --num-inference-steps 2 --guidance-scale 1e38 --threads 1 \
  --progress none --seed 4 --output-dir "$work/hot" "$work/list" </dev/null
is "$(pictures "$work/hot")" "" "pictures that are no numbers"
is "$(grep -c 'picture [01] failed.*not finite' "$err")" 2 "messages about pictures that are no numbers"

# Row 57: so does a decoder that overflows on latents that are numbers, the largest there are.
ends 0 "${run[@]}" --output-type latent --output-dir "$work/latents" "$work/list" </dev/null
latent=$(head -n 1 "$out")
header=$((8 + $(od -An -tu8 -N8 "$latent")))
values=$((($(stat -c %s "$latent") - header) / 4))
{ head -c $header "$latent"; printf '\xff\xff\x7f\x7f%.0s' $(seq $values); } >"$work/bright.safetensors"
echo "$work/bright.safetensors" >"$work/bright"
ends 3 "${run[@]}" --input-type latent --output-dir "$work/bright_out" "$work/bright" </dev/null
is "$(pictures "$work/bright_out")" "" "pictures of a decoder that overflows"
is "$(grep -c 'picture 0 failed.*one colour' "$err")" 1 "messages about pictures of one colour"

# Row 58: a picture that memory is too small for fails, and the run ends by itself.
head -n 1 "$work/list" >"$work/one"
ends 3 bash -c 'ulimit -v 3000000; exec "$@"' - "${run[@]}" --width 16384 --height 16384 \
  --output-dir "$work/huge" "$work/one" </dev/null
is "$(grep -c 'picture 0 failed.*out of memory' "$err")" 1 "messages about memory"

# Row 49: names that no file system takes.
ends 12 "${run[@]}" --output-dir "$work/$(printf 'x%.0s' {1..300})" "$work/list" </dev/null
is "$(grep -c '^diffuse-batch: error\[12\]' "$err")" 1 "messages about a long name"

# Row 54: no GPU.
if ! ls /dev/nvidia0 >/dev/null 2>&1; then
  ends 14 "${run[@]}" --device cuda --output-dir "$work/none" "$work/list" </dev/null
  is "$(grep -c '^diffuse-batch: error\[14\]' "$err")" 1 "messages about a missing GPU"
fi
is "$(ls -A "$work/none" 2>/dev/null)" "" "files of refused runs"

# Row 65: standard output full, closed, or left by its reader. The pictures are there all the same.
for kind in full closed left; do
  case $kind in
    full) timeout -k 5 60 "${run[@]}" --output-dir "$work/$kind" "$work/list" </dev/null >/dev/full 2>"$err" ;;
    closed) timeout -k 5 60 "${run[@]}" --output-dir "$work/$kind" "$work/list" </dev/null >&- 2>"$err" ;;
    left) timeout -k 5 60 "${run[@]}" --output-dir "$work/$kind" "$work/list" </dev/null 2>"$err" | true ;;
  esac
  is "$(sums "$work/$kind")" "$wanted" "pictures with standard output $kind"
done

# Rows 61 and 63: the Nth call of a kind fails, or the process dies in it; for N = 1, 2, ... until a run
# is not touched any more. No picture is torn, and the same command completes the set.
# Stand-in pictures: what is looked at is how they reach the disk.
run=("$program" --device null --batch-size 1 --width 64 --height 64 --progress none --seed 4)
ends 0 "${run[@]}" --output-dir "$work/stand_ins" "$work/list" </dev/null
wanted=$(sums "$work/stand_ins")
# after_each CALLS FAULT CODE
after_each() {
  local n=1 folder code picture
  while [ $n -le 40 ]; do
    folder=$work/fault
    rm -rf "$folder"
    # In a shell of its own, whose notice of the kill goes with the rest.
    (timeout -k 5 60 strace -f -o "$work/trace" -e "trace=$1" -e "inject=$1:$2:when=$n" \
      "${run[@]}" --output-dir "$folder" "$work/list" </dev/null; exit $?) >"$out" 2>"$err"
    code=$?
    last="$1 $2, call $n"
    grep -q 'INJECTED\|SIGKILL' "$work/trace" || break
    [[ " $3 " == *" $code "* ]] || fail "exit code $code, not one of $3 (after: $last): $(cat "$err")"
    for picture in $(pictures "$folder" 2>/dev/null); do
      same "$folder/$picture" "$work/stand_ins/$picture" "pictures after a fault"
    done
    ends 0 "${run[@]}" --output-dir "$folder" "$work/list" </dev/null
    is "$(sums "$folder")" "$wanted" "pictures after $1 $2, call $n"
    is "$(ls -A "$folder" | grep '\.part$')" "" "temporary files after $1 $2, call $n"
    n=$((n + 1))
  done
  [ $n -gt 1 ] || fail "no call of $1 was met"
  [ $n -le 40 ] || fail "$1 $2 never let a run pass"
  echo "$((n - 1)) calls of $1: $2"
}
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  after_each fsync error=EIO "12 20 3"
  after_each rename error=ENOSPC "12 20 3 0"
  after_each fdatasync error=EIO "20 3 0"
  after_each rename signal=KILL "137 9"
  after_each fsync signal=KILL "137 9"
else
  echo "left out: faults at each call (strace is not here, or may not trace)"
fi
finish
