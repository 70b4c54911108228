#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: an NVMe drive passed, which the outer machine's driver had: MSI-X, fio verified, from outside too
# Needs: memory=2048 kernels=6.1 outer=7 time=600 devices=nvme guest_programs=fio outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
await 20 [ -b /dev/nvme0n1 ] || fail "the outer machine has no NVMe drive"
pattern 3 1048576 | dd of=/dev/nvme0n1 bs=1M conv=fsync 2>/dev/null || fail "the drive is not written"
bind_to_vfio "$device"
[ ! -e /dev/nvme0n1 ] || fail "the outer machine still has the drive"
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 512M --cpus 2 --cmdline "console=ttyS0 quiet panic=-1 job=vfio-nvme" --device "$device"
vm_expect "nvme: fio verified" 400
vm_expect "guest: job vfio-nvme done" 100
vm_exit 0
! vm_said "nvme: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'nvme: wrong' | head -n 3)"
step "$(tr -d '\r' <"$vm/console" | grep -E '^nvme: ' | tr '\n' ';')"
[ ! -s "$vm/errors" ] || fail "messages: $(head -n 3 "$vm/errors")"

# Given back, it works here again, and has what the guest wrote.
echo "" >"/sys/bus/pci/devices/$device/driver_override"
echo "$device" >/sys/bus/pci/drivers/vfio-pci/unbind
echo "$device" >/sys/bus/pci/drivers_probe
await 20 [ -b /dev/nvme0n1 ] || fail "the outer machine does not get the drive back"
pattern 5 1048576 >expected
dd if=/dev/nvme0n1 bs=1M count=1 2>/dev/null | cmp -s - expected || fail "what the guest wrote is not there"
pass
