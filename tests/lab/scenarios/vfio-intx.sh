#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: interrupts of a passed device by its pin: level-triggered, resampled, shared with other devices
# Needs: memory=2048 kernels=6.1 outer=7 time=400 devices=edu guest_modules=uio_pci_generic,virtio_pci,virtio_blk outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
bind_to_vfio "$device"
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 256M --cmdline "console=ttyS0 quiet panic=-1 job=vfio-edu" --device "$device"
vm_expect "edu: .* failures" 200
vm_exit 0
! vm_said "edu: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'edu: wrong' | head -n 3)"
vm_expect "edu: 200 INTx counted" 1
step "$(tr -d '\r' <"$vm/console" | grep -E '^edu: .*counted' | tr '\n' ';')"
# The emulated device has no way of being reset.
vm_warned_only "the host cannot reset it"
pass
