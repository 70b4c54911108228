#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Resets of a disk while it works: by a driver of our own, and by unbinding Linux's under load.
wrong() { echo "reset: wrong: $*"; }
driver=/sys/bus/virtio/drivers/virtio_blk
mkdir -p /tmp

# The second disk is slow, so that much is in flight when its reset comes.
echo 0000:00:02.0 >/sys/bus/pci/drivers/virtio-pci/unbind || wrong "unbind of the slow disk"
virtio_reset 0000:00:02.0 100 >/tmp/resets || wrong "$(tail -n 1 /tmp/resets)"
echo "reset: $(tail -n 1 /tmp/resets)"
echo 0000:00:02.0 >/sys/bus/pci/drivers/virtio-pci/bind || wrong "bind of the slow disk"
dd if=/dev/vdb of=/dev/null bs=4k count=4 iflag=direct 2>/dev/null || wrong "the slow disk is gone"

round=0 failed=0
while [ "$round" -lt "${rounds:-100}" ]; do
    round=$((round + 1))
    # They end with an error when their disk goes, or find no disk there.
    for job in 1 2; do
        while [ -b /dev/vda ]; do
            dd if=/dev/zero of=/dev/vda bs=64k seek=$((job * 16)) count=16 conv=fsync || break
        done 2>/dev/null &
    done
    dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct 2>/dev/null || failed=$((failed + 1))
    echo virtio0 >$driver/unbind || wrong "unbind in round $round"
    wait
    rm -f /dev/vda # a file that dd made in the disk's place
    echo virtio0 >$driver/bind || wrong "bind in round $round"
    [ $((round % 20)) != 0 ] || echo "reset: bound $round times"
done
[ "$failed" = 0 ] || wrong "$failed of $round rounds could not read"
pattern 7 65536 >/tmp/pattern
dd if=/tmp/pattern of=/dev/vda bs=64k conv=fsync 2>/dev/null || wrong "the disk is gone"
echo "reset: the driver was bound anew $round times under load"
