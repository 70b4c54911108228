#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: virtio disks with fio in the guest: verified, discarded, read-only, full and cut off
# Needs: memory=2048 kernels=6.1 time=900 guest_modules=virtio_pci,virtio_blk guest_programs=fio,lspci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
blocks() { stat -c %b "$1"; } # of 512 bytes

truncate -s 32M main.img
{
    printf 'read only disk'
    head -c 65522 /dev/zero
} >fixed.img
mkdir -p small
mount -t tmpfs -o size=4m tmpfs small
truncate -s 64M small/full.img
truncate -s 1M cut.img

vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 640M --cpus 2 --cmdline "console=ttyS0 quiet panic=-1 job=disk" \
    --disk main.img,id=main-disk,queues=2 --disk fixed.img,readonly --disk small/full.img \
    --disk cut.img,root-port
vm_expect "disk: lspci ends" 300
tr -d '\r' <"$vm/console" | sed -n '/disk: lspci begins/,/disk: lspci ends/p' | sed '1d;$d' >lspci.txt
# pciutils 3.9 has no name for the configuration access window of virtio 1.2, 4.1.4.9.
complaints=$(sed 's/VirtIO: <unknown>//' lspci.txt | grep -E '!!!|<unknown|<access denied|<invalid|<chain') &&
    fail "lspci complains: $complaints"
step "lspci: $(grep -c Capabilities: lspci.txt) capabilities decoded"
vm_expect "disk: fio verified" 300
vm_expect "disk: fio of four jobs verified" 300
vm_expect "disk: 8 MiB of noise written"
vm_expect "disk: sum"
seen=$(dd if=main.img bs=1M skip=24 count=4 2>/dev/null | md5sum)
vm_said "disk: sum ${seen%% *}" || fail "what the guest wrote is not in the file: ${seen%% *}"
zeros=$(dd if=main.img bs=1M skip=28 count=4 2>/dev/null | tr -d '\0' | wc -c)
[ "$zeros" = 0 ] || fail "$zeros bytes of the discarded range are not zero"
used=$(blocks main.img)
[ "$used" -le $((28 * 2048)) ] || fail "the discarded range still takes room: $used blocks"
step "discard: 4 MiB given back, $used of 65536 blocks in use"
vm_expect "disk: waiting for the cut"
truncate -s 4096 cut.img
vm_expect "disk: reads behind the cut fail"
vm_exit 0 300
vm_said "guest: job disk done" || fail "the guest did not come to its end"
if vm_said "disk: wrong"; then
    fail "$(tr -d '\r' <"$vm/console" | grep 'disk: wrong' | head -5)"
fi
tr -d '\r' <"$vm/console" | grep '^disk: ' | grep -v lspci | while read -r line; do step "$line"; done
for line in "No space left on device" "the file has become shorter"; do
    grep -q "$line" "$vm/errors" || fail "no word of '$line' in the VMM's log: $(cat "$vm/errors")"
done
pass
