#!/bin/bash
# The network to one of two hosts is cut while both render: the job ends by mpirun's keepalive, no picture
# is torn, and the same command completes the set once the network is back.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/hosts.sh"
hosts 2
prompts 20 >"$work/list"
settings=(--model "$tiny" --dtype f32 --seed 2 --num-inference-steps 60 --threads 1 --progress none)
folder=$work/out
# As README recommends for several hosts.
keepalive=(--mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2)

(on_hosts "${CUT_CODE:-205}" "0 1" 2 "${keepalive[@]}" "$program" "${settings[@]}" --schedule static \
  --output-dir "$folder" "$work/list"; exit $failed) &
run=$!
for ((i = 0; i < 600; ++i)); do
  [ -e "$folder/000000.png" ] && [ -e "$folder/000010.png" ] && break
  sleep 0.05
done
on 1 ip link set eth0 down
wait $run || failed=1
on 1 ip link set eth0 up

# What the cut host had begun may go on for a moment, until its daemon misses mpirun.
count=$(pictures "$folder" | wc -l)
[ "$count" -ge 2 ] && [ "$count" -lt 20 ] || fail "$count pictures after the cut"
on_hosts 0 "0 1" 2 "$program" "${settings[@]}" --output-dir "$folder" "$work/list"
is "$(wc -l <"$out")" 20 "number of paths after the cut"
ends 0 "$program" "${settings[@]}" --output-dir "$work/reference" "$work/list" </dev/null
is "$(sums "$folder")" "$(sums "$work/reference")" "pictures after the cut"
finish
