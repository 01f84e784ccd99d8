#!/bin/sh
# test_endings.sh PROGRAM MPIRUN...: exit codes of PROGRAM (ending.cpp), with and without a launcher.
program=$1
shift
failed=0
said=$(mktemp)

# ends CODE COMMAND...: COMMAND ends with CODE, and before the time limit (timeout gives 124 or 137).
ends() {
  want=$1
  shift
  timeout -k 5 30 "$@" >/dev/null 2>"$said"
  got=$?
  if [ "$got" -ne "$want" ]; then
    echo "FAILED: $* ended with $got, not $want"
    cat "$said"
    failed=1
  fi
}

# says TEXT: the last command said it, on one line only.
says() {
  if [ "$(grep -c "$1" "$said")" -ne 1 ]; then
    echo "FAILED: not once \"$1\" in:"
    cat "$said"
    failed=1
  fi
}

ends 0 "$program"
ends 10 "$program" agree 10
ends 0 "$@" 3 "$program"
ends 21 "$@" 3 "$program" agree 21
says "reported on purpose (rank 2, "
ends 70 "$@" 3 "$program" throw
says "thrown on purpose"
ends 15 env OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 "$program"
ends 15 env PMI_SIZE=4 PMI_RANK=0 "$program"
says "the launcher started 4"
ends 15 env SLURM_JOB_ID=1 SLURM_NTASKS=2 "$program"
ends 0 env SLURM_JOB_ID=1 SLURM_NTASKS=2 "$@" 1 "$program"

rm -f "$said"
exit $failed
