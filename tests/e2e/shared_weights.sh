# Ranks of a node share one copy of the weights, and pictures stay the same; where there is no room
# for it, each rank has its own; a memory mode is a setting of the run.
. "$(dirname "$0")/lib.sh"

prompts 4 >"$work/list.txt"
options=(--model "$tiny" --num-inference-steps 2 --seed 5 --progress none)

for dtype in f32 bf16; do
  if [ $dtype = bf16 ] && ! "$program" --version | grep -qE 'avx512_bf16|amx_bf16'; then continue; fi
  ends 0 "$program" "$work/list.txt" "${options[@]}" --dtype $dtype --output-dir "$work/one-$dtype"
  grep -q "share one copy" "$err" && fail "one rank says that it shares"
  sums "$work/one-$dtype" >"$work/sums-$dtype"
  for ranks in 2 6; do  # six ranks, four of them with a job
    ends 0 "$mpirun" -np $ranks "$program" "$work/list.txt" "${options[@]}" --dtype $dtype \
      --output-dir "$work/$ranks-$dtype"
    sharing=$((ranks < 4 ? ranks : 4))
    grep -q "$sharing ranks of .* share one copy of the weights" "$err" ||
      fail "$sharing of $ranks ranks should share the weights ($dtype)"
    sums "$work/$ranks-$dtype" >"$work/got"
    same "$work/sums-$dtype" "$work/got" "pictures of $ranks ranks in $dtype"
  done
done

# A lean run has its own rounding, and no other run goes on with it.
ends 0 "$mpirun" -np 2 "$program" "$work/list.txt" "${options[@]}" --memory lean --dtype f32 \
  --output-dir "$work/lean"
ends 13 "$program" "$work/list.txt" "${options[@]}" --dtype f32 --output-dir "$work/lean"
grep -q lean "$err" || fail "the message does not name the memory mode"
ends 0 "$program" "$work/list.txt" "${options[@]}" --memory lean --dtype f32 \
  --output-dir "$work/lean"
ends 2 "$program" "$work/list.txt" "${options[@]}" --memory small

# A node whose shared memory is too small. Its own mounts need rights that a user may lack.
if unshare -m sh -c 'mount -t tmpfs -o size=17m none /dev/shm' 2>/dev/null; then
  ends 0 unshare -m sh -c \
    'mount -t tmpfs -o size=17m none /dev/shm && OMPI_MCA_btl=tcp,self exec "$@"' sh \
    "$mpirun" -np 2 "$program" "$work/list.txt" "${options[@]}" --dtype f32 \
    --output-dir "$work/small"
  grep -q "warning: .*cannot share one copy of the weights (/dev/shm has " "$err" ||
    fail "no warning where shared memory is too small"
  sums "$work/small" >"$work/got"
  same "$work/sums-f32" "$work/got" "pictures with private copies"
else
  echo "not run: small shared memory (no right to mount)"
fi
finish
