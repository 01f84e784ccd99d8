# Sourced by the end-to-end tests, which are called as: bash NAME.sh PROGRAM MPIRUN TEST_DATA
# Each command's standard output is in $out, its standard error in $err.
set -u
program=$1
mpirun=$2
data=$3
tiny=$data/models/tiny_sd1

# More ranks than cores are wanted here, and containers run as root: Open MPI refuses both unless
# told. Its temporary files are kept apart, since runs killed by force leave theirs behind.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMP_NUM_THREADS=1
unset DIFFUSE_BATCH_MODEL DIFFUSE_BATCH_ISA
work=$(mktemp -d /tmp/diffuse-e2e.XXXXXX)
mkdir "$work/tmp"
export TMPDIR=$work/tmp
out=$work/stdout
err=$work/stderr
failed=0
cleanups=()

clean_up() {
  for command in "${cleanups[@]+"${cleanups[@]}"}"; do $command; done
  chmod -R u+rwX "$work" 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

fail() {
  echo "FAILED: $*"
  failed=1
}

# ends CODE COMMAND...: it ends with CODE, and before the time limit (timeout gives 124 or 137).
# Standard input is empty unless the caller redirects it.
ends() {
  local want=$1 got
  shift
  last="$*"
  timeout -k 5 120 "$@" >"$out" 2>"$err"
  got=$?
  if [ "$got" -ne "$want" ]; then
    fail "exit code $got, not $want: $*"
    sed 's/^/  | /' "$err" | tail -n 8
  fi
}

# same A B [WHAT]: two files are equal byte by byte.
same() { cmp -s "$1" "$2" || fail "${3:-} differ: $1 $2 (after: $last)"; }

# is GOT WANTED WHAT
is() { [ "$1" = "$2" ] || fail "$3 is '$1', not '$2' (after: $last)"; }

# prompts N: a list of N lines
prompts() {
  local i
  for ((i = 0; i < $1; ++i)); do echo "a small picture of a cat, number $i"; done
}

# Pictures under final names in a folder, sorted; temporaries of the program are among the hidden.
pictures() { (cd "$1" && ls | grep '\.png$'); }

# sums FOLDER: one line for each picture, hash and name.
sums() { (cd "$1" && sha256sum -- *.png); }

# png_size FILE: WIDTHxHEIGHT of a PNG that begins and ends as one; nothing for other files.
png_size() {
  local head end
  head=$(od -An -v -tx1 -N24 "$1" | tr -d ' \n')
  end=$(tail -c 12 "$1" | od -An -v -tx1 | tr -d ' \n')
  [ "${head:0:32}" = 89504e470d0a1a0a0000000d49484452 ] || return
  [ "$end" = 0000000049454e44ae426082 ] || return
  echo "$((16#${head:32:8}))x$((16#${head:40:8}))"
}

# finish: the last line of a test.
finish() { exit $failed; }
