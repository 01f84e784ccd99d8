#!/bin/bash
# The job scripts under a real SLURM of three nodes: one node, several nodes by srun and by mpirun, an
# array; the same pictures each time. A program started without srun in a job of several tasks is refused.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/slurm_lib.sh"
{ prompts 4; echo; prompts 7 | tail -n 3; } >"$work/list"
settings=(--model "$tiny" --dtype f32 --num-inference-steps 2 --threads 1)
ends 0 "$program" "${settings[@]}" --seed 7 --output-dir reference list </dev/null
wanted=$(sums reference)

# paths FOLDER: those that the job's output has, in its order.
paths() { grep "^$1/.*\.png$" "$log" | tr '\n' ' '; }

submit --ntasks-per-node=2 "$scripts/one_node.sbatch" list one "${settings[@]}" --seed 7
completes
is "$(sums one)" "$wanted" "pictures of one node"
is "$(paths one)" "$(printf 'one/%06d.png ' {0..6})" "paths in the job's output"

submit --nodes=3 --ntasks-per-node=1 "$scripts/several_nodes.sbatch" list several "${settings[@]}" --seed 7
completes
is "$(sums several)" "$wanted" "pictures of several nodes"

# Each node's daemon has its own mpirun daemon started by srun.
export DIFFUSE_MPIRUN=$mpirun
submit --nodes=2 --ntasks-per-node=2 "$scripts/several_nodes.sbatch" list mpirun "${settings[@]}" --seed 7
completes
is "$(sums mpirun)" "$wanted" "pictures of mpirun in an allocation"
unset DIFFUSE_MPIRUN

# Parts of two or three lines, each in its folder; the blank line does not count.
export SEED=7
submit --array=0-2 "$scripts/array.sbatch" list parts "${settings[@]}"
unset SEED
for ((i = 0; i < 300; ++i)); do
  [ -z "$(squeue -h -j "$job" -o %T 2>/dev/null)" ] && break
  sleep 0.2
done
is "$(scontrol show job "$job" | grep -o 'JobState=[A-Z]*' | sort | uniq -c | tr -s ' ')" \
  " 3 JobState=COMPLETED" "ends of an array"
is "$(cat parts/part_*/*.png | sha256sum)" "$(cat reference/*.png | sha256sum)" "pictures of an array"
is "$(ls parts/part_001 | grep -c png)" 2 "pictures of the second part"

# Started without srun: one rank of two that do not know each other.
cat >bare.sbatch <<END
#!/bin/sh
exec "$program" list --output-dir bare ${settings[*]}
END
submit --ntasks=2 bare.sbatch
reaches 30 FAILED && is "$(job_field ExitCode)" 15:0 "exit code of a job without srun"
[ ! -e bare ] || fail "work was done without srun"
finish
