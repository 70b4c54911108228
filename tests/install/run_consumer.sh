#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Boots the built-in guest with the programs that install.sh built. Exit code 77: no KVM here.
#   run_consumer.sh WORK_FOLDER
set -euo pipefail
work=$1
if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    echo "skipped: /dev/kvm is missing or not open to us"
    exit 77
fi
for way in by-cmake by-pkg-config; do
    echo "$way:"
    output=$("$work/$way/consumer" </dev/null 2>&1) || {
        echo "exit code $?: $output"
        exit 1
    }
    echo "$output"
    # The guest has said something, and has ended by itself.
    [[ $(wc -l <<<"$output") -gt 1 && $output == *"the guest ended: "* ]]
done
