#!/bin/bash
# A job that is stopped twice, as by its time limit and by a more urgent job, queues itself again each time
# and ends complete; what it had done is not done again.
. "$(dirname "$0")/../e2e/lib.sh"
export MINI_NODES=2 MINI_GRACE=30
. "$(dirname "$0")/slurm_lib.sh"
prompts 40 >"$work/list"
# Stand-in pictures, which take the same time on every machine.
settings=(--device null --batch-size 1 --width 64 --height 64 --seed 3)
ends 0 "$program" "${settings[@]}" --null-ms 0 --output-dir reference list </dev/null

# starts N: the job is at its Nth start and has rendered two more pictures since.
starts() {
  local i more=$(($(ls out 2>/dev/null | grep -c '\.png$') + 2))
  for ((i = 0; i < 300; ++i)); do
    [ "$(ls out 2>/dev/null | grep -c '\.png$')" -ge $more ] &&
      grep -q "start $1 on .* pictures are there" "$log" && return
    sleep 0.1
  done
  fail "the job did not start for the ${1}th time: $(tail -n 3 "$log")"
}

# queued_again N: SLURM lets a job wait two minutes; a test does not, but a node takes no job in the
# second in which it ended one of that number ("job credential revoked").
queued_again() {
  reaches 40 PENDING || return
  is "$(job_field Restarts)" "$1" "number of restarts"
  scontrol update jobid="$job" StartTime=now+3
}

submit --nodes=2 --ntasks-per-node=1 "$scripts/requeue.sbatch" list out "${settings[@]}" --null-ms 500
starts 1
scancel --batch --signal=USR1 "$job"
queued_again 1
first=$(cd out && stat -c '%n %i' -- *.png)
count=$(wc -l <<<"$first")
[ "$count" -lt 40 ] || fail "stopped too late: all pictures were there"

starts 2
requeued=$job
cat >urgent.sbatch <<END
#!/bin/sh
echo urgent
END
(log=$work/urgent.out && timeout -k 5 30 sbatch --parsable --output="$log" --partition=urgent --nodes=2 \
  --ntasks-per-node=2 --exclusive urgent.sbatch </dev/null >/dev/null 2>"$err") || fail "$(cat "$err")"
job=$requeued
queued_again 2
completes
# The urgent job may begin well after the nodes were cleared for it.
for ((i = 0; i < 300; ++i)); do
  [ -s urgent.out ] && break
  sleep 0.1
done
is "$(cat urgent.out)" urgent "output of the urgent job"
is "$(job_field Restarts)" 2 "number of restarts"
is "$(sums out)" "$(sums reference)" "pictures of a job that was stopped twice"
is "$(cd out && stat -c '%n %i' -- *.png | grep -cxF "$first")" "$count" "pictures of the first start"
is "$(grep -c 'the ranks ended with 75' "$log")" 2 "number of stops in the log"
[ -z "${DIFFUSE_SHOW:-}" ] || cat "$log"
finish
