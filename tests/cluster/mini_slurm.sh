#!/bin/sh
# A whole SLURM cluster on one machine, for tests: one slurmctld, one munged and NODES slurmds, each of
# which is a node of its own to SLURM. No systemd, no cgroups; as root or as anybody.
#   mini_slurm.sh start       prints what to export; ends with 77 and the reason where it cannot run
#   mini_slurm.sh stop        ends what `start` started, and nothing else
#   mini_slurm.sh crash I     ends node I and all that runs on it at once, as a power cut would
#   mini_slurm.sh restore I   brings that node back, with an empty disk
# Settings: MINI_DIR (short: sockets live there), MINI_NODES, MINI_CPUS, MINI_PORT, MINI_GRACE (seconds
# between the notice of a preemption and the kill), MINI_NODE_TIMEOUT (seconds until a node is given up).
# Partitions: main, and urgent, whose jobs preempt those of main, which are queued again.
set -eu
dir=${MINI_DIR:?} nodes=${MINI_NODES:-2} cpus=${MINI_CPUS:-2} port=${MINI_PORT:-17000}
host=$(hostname -s)
user=$(id -un)
export SLURM_CONF="$dir/slurm.conf"
# Jobs of a surrounding cluster must not shine through.
for name in $(env | sed -n 's/^\(SLURM_[A-Z_]*\|SBATCH_[A-Z_]*\|SRUN_[A-Z_]*\)=.*/\1/p'); do
  [ "$name" = SLURM_CONF ] || unset "$name"
done

# TmpFS: PMIx makes folders below it whose names are the same on every node.
configure() {
  mkdir -p "$dir/state" "$dir/log" "$dir/run"
  cat >"$SLURM_CONF" <<END
ClusterName=mini
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((port - 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdSpoolDir=$dir/spool.%n
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmdLogFile=$dir/log/slurmd.%n.log
TmpFS=$dir/tmp.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
SlurmdTimeout=${MINI_NODE_TIMEOUT:-60}
MinJobAge=3600
MailProg=/bin/true
END
  i=0
  while [ $i -lt "$nodes" ]; do
    mkdir -p "$dir/spool.n$i" "$dir/tmp.n$i"
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$cpus" \
      "RealMemory=1000" >>"$SLURM_CONF"
    i=$((i + 1))
  done
  cat >>"$SLURM_CONF" <<END
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=${MINI_GRACE:-0}
PartitionName=urgent Nodes=ALL PriorityTier=2
END
}

cannot() {
  echo "skipped: $*" >&2
  exit 77
}

start() {
  for tool in slurmctld slurmd munged sbatch srun; do
    command -v $tool >/dev/null || cannot "no $tool on this machine (Debian: slurm-wlm, munge)"
  done
  configure
  (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
  munged --force --key-file="$dir/munge.key" --socket="$dir/run/munge.socket" \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
    --seed-file="$dir/run/munge.seed" 2>"$dir/log/start" || cannot "munged: $(cat "$dir/log/start")"
  slurmctld -c 2>"$dir/log/start" || cannot "slurmctld: $(tail -n 1 "$dir/log/start")"
  i=0
  while [ $i -lt "$nodes" ]; do
    slurmd -N n$i 2>"$dir/log/start" || cannot "slurmd: $(tail -n 1 "$dir/log/start")"
    i=$((i + 1))
  done
  tries=0
  until [ "$(sinfo -h -p main -t idle -o %D 2>/dev/null)" = "$nodes" ]; do
    tries=$((tries + 1))
    [ $tries -le 150 ] || cannot "the nodes did not come up: $(sinfo -N -h 2>&1 | tr '\n' ';')"
    sleep 0.2
  done
  # All nodes have one host name, by which Open MPI names its shared memory: they would collide.
  echo "export SLURM_CONF=$SLURM_CONF OMPI_MCA_btl=tcp,self"
}

# The step daemons of a node hold its log open.
step_daemons() {
  for process in $(pgrep -x slurmstepd); do
    ls -l "/proc/$process/fd" 2>/dev/null | grep -q "$dir/log/slurmd.n$1.log" && echo "$process"
  done
  return 0
}

crash() {
  kill -KILL "$(cat "$dir/run/slurmd.n$1.pid")"
  for process in $(step_daemons "$1"); do
    pkill -KILL -P "$process" || :
    kill -KILL "$process" || :
  done
}

# PMIx sockets of the last run would fail the next one: a queued job keeps its number.
restore() {
  rm -rf "$dir/spool.n$1" "$dir/tmp.n$1"
  mkdir -p "$dir/spool.n$1" "$dir/tmp.n$1"
  slurmd -N "n$1"
}

stop() {
  for file in "$dir"/run/slurmd.*.pid "$dir/run/slurmctld.pid" "$dir/run/munged.pid"; do
    [ -s "$file" ] || continue
    process=$(cat "$file")
    kill "$process" 2>/dev/null || continue
    tries=0
    while [ -e "/proc/$process" ] && ! grep -q '^State:.*Z' "/proc/$process/status" 2>/dev/null &&
      [ $tries -lt 100 ]; do
      sleep 0.1
      tries=$((tries + 1))
    done
  done
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  crash) crash "$2" ;;
  restore) restore "$2" ;;
  *)
    echo "usage: $0 start | stop | crash I | restore I" >&2
    exit 2
    ;;
esac
