#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: RAM up to the 32-bit hole and across it holds what is written; too much is refused
# Needs: memory=5632 kernels=6.1 time=900
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

boot_with() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --cpus 1 \
        --memory "$1" --cmdline "console=ttyS0 quiet panic=-1 $2"
}

# The hole starts at 3 GiB: the first guest ends there, the second has 1 GiB beyond 4 GiB.
boot_with 3G "job=memory percent=90"
vm_expect "memory_check: PASS" 400
vm_exit 0
step "3 GiB: $(grep -ao 'memory_check: PASS.*' "$vm/console" | tr -d '\r')"

boot_with 4G "job=memory percent=90"
vm_expect "guest: *100000000-.*System RAM"
step "4 GiB: RAM at 4 GiB and above"
vm_expect "memory_check: PASS" 400
vm_exit 0
step "4 GiB: $(grep -ao 'memory_check: PASS.*' "$vm/console" | tr -d '\r')"

[ "${lab_vmm:-cxlvm}" = cxlvm ] || pass
for size in 64G 1000T; do
    boot_with "$size" ""
    await 60 vm_ended || fail "--memory $size: neither refused nor ended"
    wait "$vm_pid"
    status=$?
    case $status in
        1 | 35) ;;
        *) fail "--memory $size: exit code $status, not 1 or 35" ;;
    esac
    [ "$(wc -l <"$vm/errors")" = 1 ] || fail "--memory $size: not one line: $(cat "$vm/errors")"
    grep -qi memory "$vm/errors" || fail "--memory $size: no word of memory: $(cat "$vm/errors")"
    step "$size refused with $status: $(cat "$vm/errors")"
done
pass
