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

# Ranks with different command lines: refused where they would act on them together, whatever it is;
# how many threads a rank has, and how it reports, is its own affair.
rm -r "$work/folder"
for other in "--seed 2" "--schedule dynamic" "--retries 1" "--on-error stop" "--round-size 5" --gallery; do
  ends 2 "$mpirun" -np 1 "$program" "${arguments[@]}" : \
    -np 1 "$program" $other "${arguments[@]}" </dev/null
  is "$(grep -c '^diffuse-batch: error\[2\]: .*different options' "$err")" 1 "messages about $other"
done
[ ! -e "$work/folder" ] || fail "work was done by ranks of different options"
ends 0 "$mpirun" -np 1 "$program" "${arguments[@]}" : -np 1 "$program" --threads 2 --log-level warn \
  --log-file "$work/log" "${arguments[@]:0:6}" "${arguments[@]:8}" </dev/null
finish
