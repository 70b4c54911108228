#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the disks of scenario "disk" from the guest's side. Each line that the scenario waits for
# begins with "disk: "; what went wrong with "disk: wrong: ".
wrong() { echo "disk: wrong: $*"; }
# expect WHAT SEEN EXPECTED
expect() { if [ "$2" = "$3" ]; then echo "disk: $1: $2"; else wrong "$1: '$2', expected '$3'"; fi; }

mkdir -p /tmp /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm

expect "disks" "$(echo /sys/block/vd?)" "/sys/block/vda /sys/block/vdb /sys/block/vdc /sys/block/vdd"
expect "size" "$(cat /sys/block/vda/size)" 65536
expect "serial number" "$(cat /sys/block/vda/serial)" "main-disk"
expect "read-only" "$(cat /sys/block/vda/ro) $(cat /sys/block/vdb/ro)" "0 1"
expect "queues" "$(find /sys/block/vda/mq -mindepth 1 -maxdepth 1 | wc -l)" 2
expect "write cache" "$(cat /sys/block/vda/queue/write_cache)" "write back"
expect "vectors of MSI-X" "$(grep -c 'virtio0-' /proc/interrupts)" 3

echo "disk: lspci begins"
lspci -vv -nn
echo "disk: lspci ends"
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|acpi|virtio|BAR |blk')
expect "complaints of the kernel" "$complaints" ""

# What fio wrote it reads back and compares.
fio --name=verify --filename=/dev/vda --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
    --bsrange=512-64k --size=8M --verify=crc32c --verify_fatal=1 --do_verify=1 --numjobs=1 \
    --minimal >/tmp/fio.txt 2>&1 || wrong "fio: $(tail -n 3 /tmp/fio.txt)"
echo "disk: fio verified"
fio --name=jobs --filename=/dev/vda --direct=1 --ioengine=psync --rw=randrw --bs=4k --size=2M \
    --numjobs=4 --fsync=32 --offset=8M --offset_increment=2M --verify=md5 --verify_fatal=1 \
    --thread --minimal >/tmp/fio.txt 2>&1 || wrong "fio jobs: $(tail -n 3 /tmp/fio.txt)"
echo "disk: fio of four jobs verified"

# Discards give the space back, and zeros are zeros: the scenario looks from outside.
dd if=/dev/urandom of=/dev/vda bs=1M seek=24 count=8 oflag=direct 2>/dev/null || wrong "dd"
sync
echo "disk: 8 MiB of noise written"
blkdiscard -o $((28 << 20)) -l $((4 << 20)) /dev/vda || wrong "blkdiscard"
sum=$(dd if=/dev/vda bs=1M skip=24 count=4 iflag=direct 2>/dev/null | md5sum)
echo "disk: sum ${sum%% *}"
sync

# Nothing gets onto a read-only disk, and what is there is read.
if dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync 2>/dev/null; then
    wrong "a read-only disk was written"
fi
expect "what the read-only disk says" "$(head -c 14 /dev/vdb)" "read only disk"

# A disk whose file system is full: an error, and nothing worse.
if dd if=/dev/zero of=/dev/vdc bs=1M count=32 conv=fsync 2>/dev/null; then
    wrong "a write to a full file system went well"
else
    echo "disk: a write to a full file system failed"
fi
dd if=/dev/vdc of=/dev/null bs=1M count=1 2>/dev/null || wrong "cannot read after a failed write"

# A disk whose file is cut off by somebody else: errors behind the end.
echo "disk: waiting for the cut"
while [ "$(dd if=/dev/vdd bs=4k skip=1 count=1 iflag=direct 2>/dev/null | wc -c)" != 0 ]; do
    sleep 0.2
done
echo "disk: reads behind the cut fail"
expect "bytes in front of the cut" \
    "$(dd if=/dev/vdd bs=4k count=1 iflag=direct 2>/dev/null | wc -c)" 4096
