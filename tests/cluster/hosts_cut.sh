#!/bin/bash
# The network to one of two hosts is cut while both render: the job ends by mpirun's keepalive, no picture
# is torn, and the same command completes the set once the network is back.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/hosts.sh"
hosts 2
prompts 40 >"$work/list"
# Stand-in pictures, which take the same time on every machine.
settings=(--device null --batch-size 1 --width 64 --height 64 --seed 2 --progress none)
folder=$work/out
# As scripts/INSTALL.md recommends, and faster.
keepalive=(--mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2)

(on_hosts 205 "0 1" 2 "${keepalive[@]}" "$program" "${settings[@]}" --null-ms 1000 --schedule static \
  --output-dir "$folder" "$work/list"; exit $failed) &
run=$!
for ((i = 0; i < 600; ++i)); do
  [ -e "$folder/000000.png" ] && [ -e "$folder/000020.png" ] && break
  sleep 0.05
done
on 1 ip link set eth0 down
wait $run || failed=1
on 1 ip link set eth0 up

# What the cut host had begun may go on for a moment, until its daemon misses mpirun.
count=$(pictures "$folder" | wc -l)
[ "$count" -ge 2 ] && [ "$count" -lt 40 ] || fail "$count pictures after the cut"
on_hosts 0 "0 1" 2 "$program" "${settings[@]}" --null-ms 0 --output-dir "$folder" "$work/list"
is "$(wc -l <"$out")" 40 "number of paths after the cut"
ends 0 "$program" "${settings[@]}" --null-ms 0 --output-dir "$work/reference" "$work/list" </dev/null
is "$(sums "$folder")" "$(sums "$work/reference")" "pictures after the cut"
finish
