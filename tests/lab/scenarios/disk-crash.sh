#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: what a guest has synced to its disk is there when the VMM was killed in the next moment
# Needs: memory=2048 kernels=6.1 time=600 guest_modules=virtio_pci,virtio_blk
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
last_synced() { tr -d '\r' <"$vm/console" | sed -n 's/^synced \([0-9]*\)$/\1/p' | tail -n 1; }

# crash OPTIONS WORDS LEAST: kills the VMM once LEAST blocks were synced, and looks at the disk.
crash() {
    truncate -s 1M crash.img
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" \
        --initrd "$kernels/6.1/extra" --memory 128M --disk "crash.img$1" \
        --cmdline "console=ttyS0 quiet panic=-1 job=crash words=$2"
    vm_expect "synced $3"
    kill -KILL "$vm_pid"
    vm_exit 137 10
    synced=$(last_synced)
    wrong=$(synced_writes check crash.img "$synced") || fail "after $synced blocks: $wrong"
    step "killed after $synced blocks that were synced: all there (--disk crash.img$1 ${2:+guest: $2})"
    rm crash.img
}

# The second and later rounds write over what the first wrote.
crash "" "" 20
crash ",queues=4" "" 70
crash "" direct 150
pass
