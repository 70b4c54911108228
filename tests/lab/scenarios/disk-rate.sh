#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: the limits of virtio disks hold in the guest, whatever it does
# Needs: memory=2048 kernels=6.1 time=600 guest_modules=virtio_pci,virtio_blk guest_programs=fio
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
truncate -s 16M ops.img
truncate -s 16M bytes.img

vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 640M --cpus 2 --cmdline "console=ttyS0 quiet panic=-1 job=disk-rate" \
    --disk ops.img,ops=50,queues=2 --disk bytes.img,rate=256K,rate-burst=64K
vm_exit 0 300
vm_said "guest: job disk-rate done" || fail "the guest did not come to its end"
if vm_said "disk: wrong"; then
    fail "$(tr -d '\r' <"$vm/console" | grep 'disk: wrong' | head -5)"
fi
lines=$(tr -d '\r' <"$vm/console" | grep '^disk: ')
[ "$(echo "$lines" | wc -l)" = 5 ] || fail "not everything was measured: $lines"
echo "$lines" | while read -r line; do step "$line"; done
pass
