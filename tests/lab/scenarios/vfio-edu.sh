#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: QEMU's edu device passed: registers, MSI, DMA into guest memory, by /dev/vfio groups
# Needs: memory=2048 kernels=6.1 outer=7 time=400 devices=edu outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
run() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --memory 256M \
        --cmdline "console=ttyS0 quiet panic=-1 job=vfio-edu" --device "$@"
}

bind_to_vfio "$device"

# As the device's own name and as a folder of sysfs.
for name in "vfio=$device,iommu=group" "sysfs=/sys/bus/pci/devices/$device,integrated,id=edu"; do
    run "$name"
    vm_expect "edu: .* failures" 200
    vm_exit 0
    ! vm_said "edu: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'edu: wrong' | head -n 3)"
    step "$(tr -d '\r' <"$vm/console" | grep -E '^edu: .*(checked|counted)' | tr '\n' ';')"
    # The emulated device has no way of being reset.
    vm_warned_only "the host cannot reset it"
done
pass
