#!/usr/bin/env bash
# The libraries of the build without root: Debian's packages are downloaded and unpacked into a folder, which
# CMake is then pointed at (scripts/INSTALL.md). The compiler, CMake and MPI come from elsewhere.
#   scripts/unpack_packages.sh FOLDER
set -euo pipefail
folder=$(mkdir -p "${1:?a folder is wanted}" && cd "$1" && pwd)
packages=(
  libcli11-dev libspdlog-dev libspdlog1.10 libfmt-dev libfmt9 nlohmann-json3-dev catch2
  libpng-dev libpng16-16 zlib1g-dev zlib1g
  libdnnl-dev libdnnl2 ocl-icd-libopencl1
  libutf8proc-dev libutf8proc2 libssl-dev libssl3
)
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
(cd "$downloads" && apt-get download -qq "${packages[@]}")
for package in "$downloads"/*.deb; do dpkg-deb --extract "$package" "$folder"; done
echo "packages: ${#packages[@]} unpacked; -DCMAKE_PREFIX_PATH=$folder/usr"
