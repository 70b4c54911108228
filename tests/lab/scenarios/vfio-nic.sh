#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a network card passed: packets out of the outer machine, while its MSI-X vectors are moved all the time
# Needs: memory=2048 kernels=6.1 outer=7 time=500 devices=nic guest_modules=virtio_pci,virtio_net outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
bind_to_vfio "$device"
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 256M --cpus 2 --cmdline "console=ttyS0 quiet panic=-1 job=vfio-nic" --device "$device" --summary
vm_expect "guest: job vfio-nic done" 400
vm_exit 0
! vm_said "nic: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'nic: wrong' | head -n 3)"
step "$(tr -d '\r' <"$vm/console" | grep -E '^nic: ' | tr '\n' ';')"
pass
