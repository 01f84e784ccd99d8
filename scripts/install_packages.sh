#!/usr/bin/env bash
# Installs what building, testing and running need, from the distribution's packages (Debian 12).
#   scripts/install_packages.sh [--ci]      --ci adds the compilers and tools that only CI uses
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config make git
  openmpi-bin libopenmpi-dev
  libcli11-dev libspdlog-dev libpng-dev nlohmann-json3-dev catch2
  libdnnl-dev libutf8proc-dev libssl-dev
)
if [ "${1:-}" = --ci ]; then
  packages+=(clang clang-format clang-tidy libomp-dev)
  packages+=(slurm-wlm munge iproute2 strace)
  packages+=(libclang-rt-14-dev ccache)
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" = 0 ]; then
  echo "packages: all ${#packages[@]} are installed"
  exit 0
fi

echo "packages: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "packages: not root and no sudo; install by hand: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
