#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a disk is reset with requests in flight and its driver bound anew under load, 100 times each
# Needs: memory=2048 kernels=6.1 time=900 guest_modules=virtio_pci,virtio_blk outer_modules=null_blk
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
truncate -s 4M fast.img
# A block device that takes 4 ms for each request.
mount -t configfs configfs /sys/kernel/config || fail "no configfs"
slow=/sys/kernel/config/nullb/slow
mkdir "$slow" || fail "no null_blk"
for setting in size=16 irqmode=2 completion_nsec=4000000 hw_queue_depth=128 power=1; do
    echo "${setting#*=}" >"$slow/${setting%=*}" || fail "null_blk refuses $setting"
done
device=/dev/slow # which has its number for a name in older kernels
[ -b "$device" ] || device=/dev/nullb$(cat "$slow/index")
[ -b "$device" ] || fail "no $device: $(echo /dev/nullb*)"

vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 256M --cpus 2 --cmdline "console=ttyS0 quiet panic=-1 job=reset_in_flight" \
    --disk fast.img,queues=2 --disk "$device,direct"
vm_expect "reset: .* in flight" 300
step "$(tr -d '\r' <"$vm/console" | sed -n 's/^reset: //p' | head -n 1)"
vm_expect "reset: the driver was bound anew" 400
vm_exit 0
! vm_said "reset: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'reset: wrong' | head -n 3)"
step "$(tr -d '\r' <"$vm/console" | sed -n 's/^reset: //p' | tail -n 1)"
pattern 7 65536 >expected
head -c 65536 fast.img | cmp -s - expected || fail "what the guest wrote last is not in the file"
# The guest's own driver never makes a device fail.
! grep -q "needs a reset" "$vm/errors" || fail "$(grep 'needs a reset' "$vm/errors" | head -n 1)"
pass
