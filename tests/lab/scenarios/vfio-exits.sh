#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: 10,000 commands more to a passed drive cause no exits more, and what its start costs
# Needs: memory=2048 kernels=6.1 outer=7 time=600 devices=nvme outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
bind_to_vfio "$device"
# exits_of COMMANDS: sets exits to what the guest's accesses to ports and memory caused.
exits_of() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --memory 256M --summary \
        --cmdline "console=ttyS0 quiet panic=-1 job=vfio-reads reads=$1" --device "$device"
    vm_expect "reads: $1 done" 300
    vm_exit 0
    ! vm_said "reads: wrong" || fail "the drive cannot be read"
    # shellcheck disable=SC2046  # two numbers
    set -- $(sed -n 's/.*exits: \([0-9]*\) port, \([0-9]*\) memory.*/\1 \2/p' "$vm/errors")
    [ $# = 2 ] || fail "no summary: $(cat "$vm/errors")"
    exits=$(($1 + $2))
}
exits_of 1000
few=$exits
exits_of 11000
step "exits with 1000 commands: $few, with 11000: $exits"
# The clock, the console and the driver's set-up make no difference of a hundredth of the commands.
[ $((exits - few)) -lt 100 ] || fail "10000 commands caused $((exits - few)) exits"

# What is pinned has to be there first: with the device, and without one but populated, it is cleared.
for options in "256M" "256M,prefault" "256M --device $device" "256M,prefault --device $device" \
    "256M,prefault,thp --device $device"; do
    # shellcheck disable=SC2086  # words
    vm_start --summary --memory $options
    vm_exit 0
    step "the built-in guest, --memory $options: $(sed -n 's/.*after \([0-9.]* s\).*/\1/p' "$vm/errors")"
done
pass
