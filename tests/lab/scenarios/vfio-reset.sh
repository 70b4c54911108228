#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a passed drive is reset by its function level reset, and its driver bound anew, 25 times each under load
# Needs: memory=2048 kernels=6.1 outer=7 time=900 devices=nvme outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
bind_to_vfio "$device"
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --memory 256M --cpus 2 \
    --cmdline "console=ttyS0 quiet panic=-1 job=vfio-reset" --device "$device"
vm_expect "guest: job vfio-reset done" 800
vm_exit 0
! vm_said "reset: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'reset: wrong' | head -n 3)"
step "$(tr -d '\r' <"$vm/console" | grep -E '^reset: ' | tr '\n' ';')"
[ ! -s "$vm/errors" ] || fail "messages: $(head -n 3 "$vm/errors")"
pass
