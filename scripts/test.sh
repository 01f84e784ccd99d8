#!/usr/bin/env bash
# Builds and runs all tests; the last line is "N passed, N failed" over all builds.
#   scripts/test.sh          one Release build, all of ctest
#   scripts/test.sh --ci     also: formatting, clang++ with address and undefined-behaviour sanitizers and
#                            short fuzzing, clang-tidy, thread sanitizer over the threaded code
set -uo pipefail
cd "$(dirname "$0")/.."
ci=0
[ "${1:-}" = --ci ] && ci=1
builds=${DIFFUSE_BUILD_ROOT:-build}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
cores=$(nproc)  # before the next line, which nproc would follow
# One compute thread a program, sleeping at barriers: the ranks of a test run side by side and must not spin against
# each other.
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
export LSAN_OPTIONS="suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0"

passed=0
failed=0
table=""

# stage NAME COMMAND...: runs it, notes the time; a failure counts once.
stage() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "=== $name FAILED"; fi
  table+=$(printf '%6d s  %s' $((SECONDS - start)) "$name")$'\n'
}

# tests NAME DIR [ctest arguments]: runs ctest and adds its counts.
tests() {
  local name=$1 dir=$2 start=$SECONDS log counts bad all
  shift 2
  echo "=== $name"
  log=$(mktemp)
  # One after another: those of signals and time limits start several ranks and need the cores.
  ctest --test-dir "$dir" --output-on-failure -j 1 "$@" </dev/null | tee "$log"
  counts=$(sed -n 's/.*tests passed, \([0-9]*\) tests* failed out of \([0-9]*\).*/\1 \2/p' "$log" | tail -n 1)
  read -r bad all <<<"${counts:-1 1}"
  rm -f "$log"
  passed=$((passed + all - bad))
  failed=$((failed + bad))
  table+=$(printf '%6d s  %s' $((SECONDS - start)) "$name")$'\n'
}

configure() {
  local dir=$1
  shift
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S . -B "$dir" -G Ninja "${launcher[@]}" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
}

# build DIR "TARGETS, or nothing for all" [cmake arguments]
build() {
  local dir=$1 targets=$2
  shift 2
  mkdir -p "$(dirname "$dir")"
  # shellcheck disable=SC2086
  configure "$dir" "$@" && cmake --build "$dir" ${targets:+--target $targets} >"$dir.log" 2>&1 ||
    { grep -v '^\[' "$dir.log" | tail -n 100; return 1; }
}

check_format() {
  git ls-files '*.hpp' '*.cpp' '*.cu' '*.cuh' | xargs clang-format --dry-run -Werror
}

# CUDA sources need nvcc's own front end; tests are left to the warnings of two compilers.
# One file at a time: after another file clang-tidy 14 takes a va_list for uninitialised.
check_tidy() {
  git ls-files 'apps/*.cpp' 'core/*.cpp' 'kernels/*.cpp' 'mpi/*.cpp' | grep -v '^kernels/cuda/' |
    xargs -P "$cores" -n 1 clang-tidy -p "$1" --quiet 2>&1 | grep -v ' warnings\? generated\.$'
  return "${PIPESTATUS[2]}"
}

if [ $ci = 1 ]; then
  stage "packages" scripts/install_packages.sh --ci
else
  stage "packages" scripts/install_packages.sh
fi
stage "build (g++, Release)" build "$builds/release" "" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=g++ \
  -DDIFFUSE_CUDA_ARCHITECTURES=90
tests "tests (g++, Release)" "$builds/release"

if [ $ci = 1 ]; then
  stage "clang-format" check_format
  stage "build (clang++, address and undefined sanitizers)" build "$builds/asan" "" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang \
    "-DDIFFUSE_SANITIZE=address,undefined" -DDIFFUSE_CUDA=OFF -DDIFFUSE_FUZZ=ON
  # The kernels on the host take minutes under a sanitizer; their buffers are checked by the shim itself.
  tests "tests (clang++, address and undefined sanitizers)" "$builds/asan" \
    -LE "cuda_host|mpi|e2e"
  # Open MPI unloads its plug-ins before it ends: their leaks have no name that could be suppressed.
  ASAN_OPTIONS=detect_leaks=0 tests "tests under mpirun (clang++, sanitizers)" "$builds/asan" \
    -L "mpi|e2e" -LE "release_only"
  stage "clang-tidy" check_tidy "$builds/asan"
  stage "build (thread sanitizer)" build "$builds/tsan" "test_io test_base" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_CXX_COMPILER=g++ -DDIFFUSE_SANITIZE=thread -DDIFFUSE_OPENMP=OFF -DDIFFUSE_CUDA=OFF
  tests "tests (thread sanitizer)" "$builds/tsan" -L tsan
fi

echo
echo "Where the time went:"
printf '%s' "$table"
printf '%6d s  in all\n' $SECONDS
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
