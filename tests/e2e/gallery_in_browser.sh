#!/bin/bash
# The gallery as a browser has it: every job a card, no prompt markup. Needs chromium.
. "$(dirname "$0")/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
  echo "skipped: no chromium, so the gallery's script is not run"
  exit 77
fi
cat >"$work/list.txt" <<'LIST'
a cat
</script><script>document.title = "taken"</script>
<img src=x onerror="document.title = 'taken'">
<!-- <script>
LIST
mkdir -p "$work/a/000003.png"
ends 3 "$program" --model "$tiny" --dtype f32 --num-inference-steps 1 --threads 1 --progress none \
  --overwrite --gallery --output-dir "$work/a" "$work/list.txt" </dev/null
ends 0 "$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$work/browser" \
  --window-size=1280,900 --virtual-time-budget=5000 --dump-dom "file://$work/a/index.html"
grep -q '<title>diffuse-batch gallery</title>' "$out" || fail "the title was taken"
is "$(grep -o '<button class="card' "$out" | wc -l)" 4 "number of cards"
is "$(grep -o '<button class="card failed' "$out" | wc -l)" 1 "number of failed cards"
is "$(grep -o '<img [^>]*src="./00000[0-9].png"' "$out" | wc -l)" 3 "number of pictures"
is "$(grep -o '<img ' "$out" | wc -l)" 3 "number of all images"
is "$(grep -o '<script' "$out" | wc -l)" 4 "number of scripts"
grep -q '4 of 4 jobs, 1 failed' "$out" || fail "the jobs are not counted"
grep -q 'Time per rank: 1 rank, ' "$out" || fail "no time per rank"
grep -qF '&lt;/script&gt;&lt;script&gt;document.title' "$out" || fail "no caption of a prompt"
finish
