# Sourced by tests that need several hosts: each is a network, host name and mount namespace of its own
# on this machine, joined by a bridge. They vanish with the processes that hold them.
# Needs $work of lib.sh, and `mpirun` in $mpirun.
host_pids=()

skip() {
  echo "skipped: $*"
  exit 77
}

# hosts N: h0 to h(N-1), at 10.77.0.1 and up, each with a small disk of its own at $work/disk.
hosts() {
  local i switch
  [ "$(id -u)" = 0 ] || skip "namespaces need the superuser"
  for i in ip unshare nsenter setsid; do
    command -v "$i" >/dev/null || skip "no $i on this machine (Debian: iproute2, util-linux)"
  done
  mkdir -p "$work/disk"
  echo 127.0.0.1 localhost >"$work/hosts"
  for ((i = 0; i < $1; ++i)); do echo "10.77.0.$((i + 1)) h$i" >>"$work/hosts"; done

  setsid unshare --net sleep 600 </dev/null >/dev/null 2>&1 &
  switch=$!
  cleanups+=("kill $switch")
  await_namespace "$switch" net
  nsenter -t "$switch" -n ip link add br0 type bridge 2>"$err" || skip "no bridges: $(cat "$err")"
  nsenter -t "$switch" -n ip link set br0 up
  for ((i = 0; i < $1; ++i)); do
    setsid unshare --net --uts --mount sleep 600 </dev/null >/dev/null 2>&1 &
    host_pids[i]=$!
    cleanups+=("kill ${host_pids[i]}")
    await_namespace "${host_pids[i]}" mnt
    nsenter -t "$switch" -n ip link add "v$i" type veth peer name eth0 netns "${host_pids[i]}" \
      2>"$err" || skip "no virtual networks: $(cat "$err")"
    nsenter -t "$switch" -n ip link set "v$i" master br0 up
    on "$i" ip addr add "10.77.0.$((i + 1))/24" dev eth0
    on "$i" ip link set eth0 up
    on "$i" ip link set lo up
    on "$i" hostname "h$i"
    on "$i" mount --bind "$work/hosts" /etc/hosts || skip "hosts cannot have files of their own"
    on "$i" mount -t tmpfs -o size=64m none "$work/disk" || skip "hosts cannot have a disk"
    echo "h$i ${host_pids[i]}" >>"$work/pids"
  done

  # What mpirun calls in place of ssh: agent [options] HOST COMMAND...
  cat >"$work/agent" <<'END'
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
pid=$(sed -n "s/^$host //p" "$(dirname "$0")/pids")
exec nsenter -t "$pid" -n -u -m sh -c "$*"
END
  chmod +x "$work/agent"
}

# await_namespace PID KIND: unshare has done its work.
await_namespace() {
  local i
  for ((i = 0; i < 500; ++i)); do
    [ "$(readlink "/proc/$1/ns/$2")" != "$(readlink "/proc/$$/ns/$2")" ] &&
      [ "$(cat "/proc/$1/comm")" = sleep ] && return
    sleep 0.02
  done
  skip "no namespaces on this machine"
}

# on I COMMAND...: on host I.
on() { nsenter -t "${host_pids[$1]}" -n -u -m "${@:2}"; }

# on_hosts CODE HOSTS RANKS ARGUMENTS...: mpirun, started on h0, over tcp.
on_hosts() {
  local names= i
  for i in $2; do names+="${names:+,}h$i:8"; done
  ends "$1" nsenter -t "${host_pids[0]}" -n -u -m "$mpirun" -np "$3" --map-by node -H "$names" \
    --mca plm_rsh_agent "$work/agent" --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 \
    "${@:4}" </dev/null
}
