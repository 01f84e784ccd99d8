# Sourced by tests that need a SLURM, after lib.sh: starts one, and stops it at the end.
here=$(dirname "$0")
scripts=$here/../../scripts/slurm
export MINI_DIR=$work/s MINI_NODES=${MINI_NODES:-3} MINI_CPUS=2 MINI_PORT=$((20000 + $$ % 10000))
mkdir "$MINI_DIR"
exports=$(sh "$here/mini_slurm.sh" start)
code=$?
cleanups+=("sh $here/mini_slurm.sh stop")
[ $code = 0 ] || exit $code
unset ${!SLURM_*} ${!SBATCH_*}
eval "$exports"
export DIFFUSE_BATCH=$program
cd "$work" || exit 1

# job_field NAME: of job $job, e.g. JobState.
job_field() { scontrol show job "$job" 2>/dev/null | sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" | head -n 1; }

# submit ARGUMENTS...: sbatch; the number of the job is in $job, its output in $log.
submit() {
  log=$work/job.out
  last="sbatch $*"
  job=$(timeout -k 5 30 sbatch --parsable --output="$log" "$@" </dev/null 2>"$err")
  [ -n "$job" ] || fail "no job: $(cat "$err") (after: $last)"
}

# reaches SECONDS STATE...: job $job gets into one of these states.
reaches() {
  local tries=$(($1 * 5)) state wanted=" ${*:2} "
  while [ $((tries--)) -gt 0 ]; do
    state=$(job_field JobState)
    [[ $wanted == *" $state "* ]] && return 0
    sleep 0.2
  done
  fail "job $job is $state, and not${wanted}in time (after: $last)"
  [ -e "$log" ] && tail -n 20 "$log" | sed 's/^/  | /'
  return 1
}

# completes: job $job ends as a success.
completes() {
  reaches 60 COMPLETED FAILED CANCELLED NODE_FAIL TIMEOUT || return
  is "$(job_field JobState) $(job_field ExitCode)" "COMPLETED 0:0" "end of the job"
  [ "$failed" = 0 ] || tail -n 20 "$log" | sed 's/^/  | /'
}
