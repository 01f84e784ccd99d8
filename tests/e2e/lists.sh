#!/bin/bash
# Prompt lists: formats, fields of a line, mistakes, names and folders of pictures, weighted prompts.
. "$(dirname "$0")/lib.sh"
run() {  # run CODE ARGUMENTS...: alone
  ends "$1" "$program" --model "$tiny" --dtype f32 --device cpu --threads 1 --progress none \
    --num-inference-steps 2 --seed 100 "${@:2}"
}

# text_of FILE KEY: a value of the JSON chunk that a picture carries.
text_of() {
  LC_ALL=C grep -a -o "\"$2\":[^,}]*" "$1" | head -n 1 | cut -d: -f2-
}

# Every field of a line is honoured, alone and on three ranks, and the bytes do not depend on it.
cat >"$work/list.jsonl" <<'LIST'
{"prompt": "a cat"}
{"prompt": "a dog", "seed": 18446744073709551615, "num_images_per_prompt": 2, "name": "rex/../one"}

{"prompt": "a bird", "width": 24, "height": 32, "num_inference_steps": 3, "guidance_scale": 2.5}
{"prompt": "a bird", "scheduler": "euler_a", "negative_prompt": "grey", "metadata": {"id": 5}}
{"prompt": "a bird", "scheduler": "ddim"}
LIST
run 0 --output-dir "$work/one" "$work/list.jsonl"
is "$(pictures "$work/one" | tr '\n' ' ')" \
  "000000.png 000001-rex_.._one.png 000002-rex_.._one.png 000003.png 000004.png 000005.png " "names"
is "$(text_of "$work/one/000000.png" seed)" 100 "seed of line 1"
is "$(text_of "$work/one/000001-rex_.._one.png" seed)" 18446744073709551615 "seed of line 2"
is "$(text_of "$work/one/000002-rex_.._one.png" seed)" 0 "its second seed"
is "$(text_of "$work/one/000003.png" seed)" 103 "seed of line 4"
is "$(png_size "$work/one/000003.png")" 24x32 "size of line 4"
is "$(text_of "$work/one/000003.png" num_inference_steps)" 3 "steps of line 4"
is "$(text_of "$work/one/000004.png" scheduler)" '"euler_a"' "scheduler of line 5"
grep -aq "Sampler: Euler a" "$work/one/000004.png" || fail "the sampler of line 5 is not named"
grep -aq "Sampler: DDIM" "$work/one/000005.png" || fail "the sampler of line 6 is not named"
grep -q '"metadata":{"id":5}' "$work/one/manifest.jsonl" || fail "metadata are not carried along"
ends 0 "$mpirun" -np 3 "$program" --model "$tiny" --dtype f32 --device cpu --threads 1 \
  --progress none --num-inference-steps 2 --seed 100 --batch-size 4 --output-dir "$work/three" \
  "$work/list.jsonl"
is "$(sums "$work/three")" "$(sums "$work/one")" "pictures of three ranks"
# The same settings as flags give the same picture.
echo "a bird" >"$work/bird"
ends 0 "$program" --model "$tiny" --dtype f32 --device cpu --threads 1 --progress none \
  --num-inference-steps 2 --seed 104 --scheduler euler_a --negative-prompt grey \
  --output-dir "$work/flags" "$work/bird"
same "$work/flags/000000.png" "$work/one/000004.png" "flags and fields"

# The same list as CSV and in the webui's way.
printf 'prompt,seed,width\r\n"a ""red"" cat, sitting",7,\r\na dog,,24\r\n' >"$work/list.csv"
run 0 --output-dir "$work/csv" "$work/list.csv"
printf -- '--prompt a \\"red\\" cat, sitting --seed 7\n--prompt a dog --width 24\n' >"$work/webui"
run 0 --output-dir "$work/webui-out" --input-format webui "$work/webui"
is "$(sums "$work/webui-out")" "$(sums "$work/csv")" "pictures of the webui's lines"
run 0 --output-dir "$work/stdin" --input-format csv - <"$work/list.csv"
is "$(sums "$work/stdin")" "$(sums "$work/csv")" "pictures of a list on standard input"

# All mistakes are told at once, and nothing is rendered; or they are failures among the pictures.
printf '%s\n' '{"promt": "a"}' '{"prompt": "a cat"}' '{"prompt": "a", "seed": 1.5}' '[' \
  >"$work/bad.jsonl"
run 10 --output-dir "$work/bad" "$work/bad.jsonl"
grep -q 'line 1: .*did you mean "prompt".*line 3: seed.*line 4: ' "$err" ||
  fail "not all mistakes are told: $(cat "$err")"
[ -e "$work/bad/000001.png" ] && fail "a list with mistakes was rendered"
run 3 --output-dir "$work/bad" --keep-going "$work/bad.jsonl"
is "$(pictures "$work/bad")" 000001.png "pictures among mistakes"
is "$(text_of "$work/bad/000001.png" seed)" 101 "seed beside mistakes"
is "$(grep -c '"status":"failed"' "$work/bad/manifest.jsonl")" 3 "recorded failures"
printf '%s\n' '{"prompt": "a", "width": 15}' '{"prompt": "b", "height": 17}' >"$work/size.jsonl"
run 10 --output-dir "$work/size" "$work/size.jsonl"
grep -q 'line 1: width 15 .*multiple.*line 2: height 17' "$err" || fail "sizes: $(cat "$err")"
is "$(ls "$work/size" | grep -c png)" 0 "pictures of wrong sizes"
echo "a cat --steps 20" >"$work/tags"
run 10 --output-dir "$work/tags-out" --input-format webui "$work/tags"
grep -q 'line 1: .*webui-lenient' "$err" || fail "the lenient way is not offered: $(cat "$err")"

# Names by pattern, folders by number; the same command continues with them.
prompts 5 >"$work/five"
run 0 --output-dir "$work/named" --name-pattern '{slug}_{seed}_{index}' --shard-size 2 "$work/five"
is "$(cd "$work/named" && find . -name '*.png' | sort | tr '\n' ' ')" \
  "$(for i in 0 1 2 3 4; do
    printf './0000%d/a-small-picture-of-a-cat-number-%d_10%d_00000%d.png ' $((i / 2)) $i $i $i
  done)" "names and folders"
is "$(sed "s|^$work/named/||" "$out" | head -n 1)" \
  "00000/a-small-picture-of-a-cat-number-0_100_000000.png" "first path"
find "$work/named" -name '*_000003.png' -delete
touch "$work/named/00001/.diffuse-batch.x.1.1.part"
run 0 --output-dir "$work/named" --name-pattern '{slug}_{seed}_{index}' --shard-size 2 "$work/five"
is "$(find "$work/named" -name '*.png' | wc -l)" 5 "pictures after continuing"
is "$(find "$work/named" -name '*.part' | wc -l)" 0 "temporary files after continuing"
run 13 --output-dir "$work/named" --shard-size 2 "$work/five"
run 2 --output-dir "$work/no" --name-pattern '../{index}' "$work/five"
run 2 --output-dir "$work/no" --name-pattern '{date}' "$work/five"
run 2 --output-dir "$work/no" --shard-size 0 "$work/five"

# Weighted prompts: a setting of the run and of the picture; without brackets it changes nothing.
printf 'a cat\na (cat:1.4)\na cat BREAK a dog\n' >"$work/weights"
run 0 --output-dir "$work/plain" "$work/weights"
run 0 --output-dir "$work/weighted" --prompt-weighting --batch-size 3 "$work/weights"
is "$(text_of "$work/weighted/000001.png" prompt_weighting)" '"webui"' "weighting in the picture"
for i in 1 2; do
  cmp -s "$work/plain/00000$i.png" "$work/weighted/00000$i.png" && fail "weights change nothing"
done
run 13 --output-dir "$work/weighted" "$work/weights"
finish
