#!/bin/sh
# test_threads.sh PROGRAM MPIRUN...: where PROGRAM (thread_place.cpp) runs, for launcher options and CPU masks.
program=$1
shift
failed=0
unset OMP_WAIT_POLICY OMPI_MCA_rmaps_base_oversubscribe
mask=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
first=${mask%%[-,]*}

# is WHAT WANT GOT
is() {
  if [ "$2" != "$3" ]; then
    echo "FAILED: $1: wanted \"$2\", got \"$3\""
    failed=1
  fi
}

cpus_of() { timeout -k 5 30 "$@" | cut -d' ' -f2; }

is "alone" "$mask" "$(cpus_of "$program")"
is "one rank, mpirun's default binding" "$mask" "$(cpus_of "$@" 1 "$program")"
is "one rank, behind a shell" "$mask" "$(cpus_of "$@" 1 sh -c "$program; true")"
is "taskset outside mpirun" "$first" "$(cpus_of taskset -c "$first" "$@" 1 "$program")"
is "taskset alone" "1 $first -" "$(taskset -c "$first" "$program")"
is "more threads than CPUs wait passively" "3 $first passive" "$(taskset -c "$first" "$program" 3)"
is "the user's wait policy stays" "3 $first active" \
  "$(OMP_WAIT_POLICY=active taskset -c "$first" "$program" 3)"
is "--bind-to none" "$mask" "$(cpus_of "$@" 1 --bind-to none "$program")"
bound=$(cpus_of "$@" 1 --bind-to core sed -n 's/^Cpus_allowed_list:[[:space:]]*/x /p' /proc/self/status)
is "--bind-to core" "$bound" "$(cpus_of "$@" 1 --bind-to core "$program")"
exit $failed
