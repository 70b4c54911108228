# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The Debian 12 packages that building and testing need. To be sourced.
tests_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lab/lib/packages.sh
source "$tests_folder/lab/lib/packages.sh"

need_build_packages() {
    need_packages "to build cxlvm" cmake ninja-build g++ pkg-config linux-libc-dev liburing-dev \
        libfmt-dev libboost-dev libcli11-dev nlohmann-json3-dev zlib1g-dev liblzma-dev liblz4-dev \
        libzstd-dev
}

need_test_packages() {
    need_build_packages &&
        need_packages "to build and sum up the tests" libgtest-dev libgmock-dev libbenchmark-dev \
            python3 git util-linux iproute2 acpica-tools
}

need_clang_packages() {
    need_packages "for style tests and fuzzing" clang clang-format clang-tidy libclang-rt-14-dev \
        shellcheck
}
