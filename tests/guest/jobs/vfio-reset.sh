#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Resets the passed NVMe drive while it is read and written: by its function level reset, after which
# what was in flight is done all the same, and by unbinding its driver. Lines begin with "reset: ";
# what went wrong with "reset: wrong: ".
wrong() { echo "reset: wrong: $*"; }
mkdir -p /tmp
mount -t tmpfs tmpfs /tmp
drive=/dev/nvme0n1
await_drive() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -b $drive ] || return 0
        sleep 0.5
    done
    wrong "no drive"
}
await_drive
device=$(readlink -f /sys/class/nvme/nvme0/device)
address=$(basename "$device")
grep -q flr "$device/reset_method" || wrong "no function level reset: $(cat "$device/reset_method")"
echo flr >"$device/reset_method"
pattern 9 1048576 >/tmp/pattern
round=0
while [ "$round" -lt 25 ]; do
    round=$((round + 1))
    # What a function level reset interrupts, the driver does again.
    dd if=/tmp/pattern of=$drive bs=16k seek=64 oflag=direct 2>/dev/null || wrong "a write failed in round $round" &
    dd if=$drive of=/dev/null bs=16k count=128 iflag=direct 2>/dev/null || wrong "a read failed in round $round" &
    echo 1 >"$device/reset" || wrong "reset number $round failed"
    wait
    dd if=$drive bs=1M skip=1 count=1 iflag=direct 2>/dev/null | cmp -s - /tmp/pattern ||
        wrong "other bytes after reset $round"
    dd if=/dev/zero of=$drive bs=1M seek=1 count=1 oflag=direct 2>/dev/null || wrong "zeros in round $round"
    # Unbinding ends what is in flight with errors.
    dd if=$drive of=/dev/null bs=16k count=512 iflag=direct 2>/dev/null &
    echo "$address" >/sys/bus/pci/drivers/nvme/unbind || wrong "unbind in round $round"
    wait
    echo "$address" >/sys/bus/pci/drivers/nvme/bind || wrong "bind in round $round"
    await_drive
done
echo "reset: $round function level resets and $round times bound anew"
