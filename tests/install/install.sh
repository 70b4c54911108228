#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build to a prefix of its own, and builds a program of somebody else's on what lies there.
#   install.sh BUILD_FOLDER WORK_FOLDER CXX
set -euo pipefail
build=$1 work=$2 cxx=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/built" >"$work/install.log"
# Moved before use: nothing that was installed may point back to where it was made.
mv "$work/built" "$work/prefix"
prefix=$work/prefix
if grep -rIl -e "$build" -e "$work/built" "$prefix"; then
    echo "these installed files name the folder that they were made in"
    exit 1
fi

"$prefix/bin/cxlvm" --version
test -s "$prefix/share/man/man1/cxlvm.1"

echo "by find_package:"
cmake -S "$here/consumer" -B "$work/by-cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_FLAGS=-Wall -DCMAKE_BUILD_TYPE=Debug >/dev/null
cmake --build "$work/by-cmake"

echo "by pkg-config:"
pc_dir=$(dirname "$(find "$prefix" -name cxlvm.pc)")
read -ra flags <<<"$(PKG_CONFIG_PATH=$pc_dir pkg-config --cflags --libs cxlvm)"
mkdir "$work/by-pkg-config"
"$cxx" -std=c++20 -Wall "$here/consumer/main.cpp" "${flags[@]}" -o "$work/by-pkg-config/consumer"
echo "both built"
