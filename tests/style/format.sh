#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks that every C++ file that git tracks is as clang-format leaves it.
#   format.sh [ROOT]; to repair: git ls-files '*.cpp' '*.hpp' | xargs clang-format -i
set -euo pipefail
cd "${1:-.}"
git ls-files -z '*.cpp' '*.hpp' | xargs -0 --no-run-if-empty clang-format --dry-run -Werror
