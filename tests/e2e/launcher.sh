#!/bin/bash
# Ranks that do not know each other (a launcher of another MPI) are refused once, before any work.
. "$(dirname "$0")/lib.sh"
prompts 2 >"$work/list"
arguments=(--model "$tiny" --dtype f32 --num-inference-steps 1 --threads 1 --progress none
  --output-dir "$work/folder" "$work/list")

# mismatch VARIABLES...: one process of several, started with the variables of a launcher.
mismatch() {
  ends 15 env "$@" "$program" "${arguments[@]}" </dev/null
  [ ! -e "$work/folder" ] || fail "work was done (after: $last)"
}
mismatch OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0
is "$(grep -c '^diffuse-batch: error\[15\]: ' "$err")" 1 "number of messages of rank 0"
is "$(wc -l <"$err")" 1 "number of lines of rank 0"
mismatch OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3
is "$(wc -c <"$err")" 0 "bytes from rank 3"
mismatch PMI_SIZE=2 PMI_RANK=0
is "$(grep -c '^diffuse-batch: error\[15\]: ' "$err")" 1 "number of messages of rank 0"
mismatch SLURM_JOB_ID=1 SLURM_NTASKS=2
# In a batch job that started the ranks by mpirun all is well.
ends 0 env SLURM_JOB_ID=1 SLURM_NTASKS=2 "$mpirun" -np 2 "$program" "${arguments[@]}" </dev/null
is "$(wc -l <"$out")" 2 "number of paths"

# Ranks with different command lines.
ends 2 "$mpirun" -np 1 "$program" --seed 1 "${arguments[@]}" : \
  -np 1 "$program" --seed 2 "${arguments[@]}" </dev/null
is "$(grep -c '^diffuse-batch: error\[2\]: .*different options' "$err")" 1 "number of messages"
finish
