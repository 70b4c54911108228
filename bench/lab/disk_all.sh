#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in the outer machine: measures the disks of cxlvm and of Debian's QEMU in turns, and says
# "value NAME NUMBER" for each measurement.
# shellcheck source-path=SCRIPTDIR/../../tests/lab/outer source=lib.sh
. /lab/lib.sh
# shellcheck source-path=SCRIPTDIR source=turns.sh
. /lab/bench/turns.sh

# One file in the page cache alone, and one that is read and written directly: ext4 on a device that
# keeps its blocks in memory.
buffered=/run/buffered direct=/run/direct
mkdir -p "$buffered" "$direct"
mount -t tmpfs none "$buffered"
mount -t configfs none /sys/kernel/config
mkdir /sys/kernel/config/nullb/nullb1
cd /sys/kernel/config/nullb/nullb1 || fail "no null_blk"
for setting in size=96 memory_backed=1 irqmode=0 power=1; do
    echo "${setting#*=}" >"${setting%=*}" || fail "null_blk: $setting"
done
cd /tmp || exit
mkfs.ext4 -q -E lazy_itable_init=0 /dev/nullb1 >/tmp/errors 2>&1 ||
    fail "mkfs.ext4: $(cat /tmp/errors)"
mount -t ext4 /dev/nullb1 "$direct" || fail "mount"
for folder in "$buffered" "$direct"; do
    dd if=/dev/zero of="$folder/disk" bs=1M count=64 2>/dev/null || fail "$folder/disk"
done
sync
cp "$kernels/6.1/bzImage" "$buffered/"
cp /lab/bench/initrd "$buffered/initrd"

words="$words operations=${operations:?} transfers=${transfers:?}"

# run VARIANT: one run of one variant.
run() {
    case $1 in
        qemu*) lab_vmm=qemu ;;
        *) lab_vmm=cxlvm ;;
    esac
    case $1 in
        *_direct) disk=$direct/disk,direct ;;
        *) disk=$buffered/disk ;;
    esac
    measure "$1" "guest: fio is done" --kernel "$buffered/bzImage" --initrd "$buffered/initrd" \
        --cpus 1 --memory 256M --cmdline "$words" --disk "$disk"
}

in_turns run
pass
