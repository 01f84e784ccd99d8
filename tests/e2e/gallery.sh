#!/bin/bash
# The gallery, labels of the contact sheet, log files of the ranks; prompts that try to become markup.
. "$(dirname "$0")/lib.sh"
settings=(--model "$tiny" --dtype f32 --num-inference-steps 1 --threads 1 --progress none --seed 5 --overwrite)
cat >"$work/list.txt" <<'LIST'
a cat
</script><script>document.title = "taken"</script>
<img src=x onerror="document.title = 'taken'">
<!-- <script> & &amp; "quotes' \u003c ${1}
a dog
LIST

# One job fails: a folder stands under its name.
mkdir -p "$work/a/000004.png"
ends 3 "$mpirun" -np 2 "$program" "${settings[@]}" --gallery --contact-sheet "$work/sheet.png" \
  --log-file "$work/rank-{rank}.log" --output-dir "$work/a" "$work/list.txt" </dev/null
is "$(wc -l <"$out")" 4 "number of paths beside a gallery"
page=$work/a/index.html
grep -q "gallery: $page (5 jobs, 1 failed)" "$err" || fail "the gallery is not reported"
is "$(grep -o '</script' "$page" | wc -l)" 4 "ends of scripts in the page: three tables and its own"
is "$(grep -c '<img\|<!--\|https*:' "$page")" 0 "markup of prompts, or anything from elsewhere"
grep -qF '\u003c/script\u003e\u003cscript\u003edocument.title = \"taken\"' "$page" ||
  fail "a prompt is not in the page"
grep -q "rank 0/2 info" "$work/rank-0.log" || fail "no log of rank 0"
[ -e "$work/rank-1.log" ] || fail "no log of rank 1"

# Labels: under pictures of 64 pixels stands one line of 13 pixels, and a gap of 4.
size=$(png_size "$work/sheet.png")
ends 3 "$program" "${settings[@]}" --contact-sheet "$work/bare.png" --contact-sheet-labels none \
  --output-dir "$work/a" "$work/list.txt" </dev/null
bare=$(png_size "$work/bare.png")
is "${size%x*}" "${bare%x*}" "width of the sheet with labels"
is "${size#*x}" "$((${bare#*x} + 2 * 17))" "height of two rows with labels"

# A run that goes on writes the page anew, now without failures.
rmdir "$work/a/000004.png"
ends 0 "$program" "${settings[@]}" --gallery --output-dir "$work/a" "$work/list.txt" </dev/null
grep -q "(5 jobs, 0 failed)" "$err" || fail "the gallery was not written anew"

# Somebody else's page is refused before anything is rendered, and left as it is.
mkdir "$work/b"
echo '<p>mine</p>' >"$work/b/index.html"
ends 12 "$program" "${settings[@]}" --gallery --output-dir "$work/b" "$work/list.txt" </dev/null
is "$(cat "$work/b/index.html")" "<p>mine</p>" "the other page"
is "$(pictures "$work/b" | wc -l)" 0 "pictures rendered beside it"
finish
