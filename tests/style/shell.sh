#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs shellcheck over every shell script that git tracks. Exit code 77: shellcheck is missing.
#   shell.sh [ROOT]
set -euo pipefail
cd "${1:-.}"
command -v shellcheck >/dev/null || exit 77
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck -x "${scripts[@]}"
