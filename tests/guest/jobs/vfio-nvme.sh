#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Uses the passed NVMe drive by Linux's own driver. Lines begin with "nvme: "; what went wrong with
# "nvme: wrong: ".
wrong() { echo "nvme: wrong: $*"; }
mkdir -p /tmp /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/nvme0n1 ] || sleep 0.5
done
drive=/dev/nvme0n1
[ -b $drive ] || wrong "no drive"
pattern 3 1048576 >/tmp/expected
dd if=$drive bs=1M count=1 iflag=direct 2>/dev/null | cmp -s - /tmp/expected || wrong "other bytes than written outside"
before=$(awk '/nvme0q/ { for (i = 2; i <= 3; i++) sum += $i } END { print sum + 0 }' /proc/interrupts)
fio --name=verify --filename=$drive --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
    --bsrange=512-64k --size=8M --offset=2M --verify=crc32c --verify_fatal=1 --do_verify=1 \
    --minimal >/tmp/fio.txt 2>&1 || wrong "fio: $(tail -n 3 /tmp/fio.txt)"
fio --name=jobs --filename=$drive --direct=1 --ioengine=psync --rw=randrw --bs=4k --size=2M \
    --numjobs=4 --offset=16M --offset_increment=2M --verify=md5 --verify_fatal=1 \
    --thread --minimal >/tmp/fio.txt 2>&1 || wrong "fio jobs: $(tail -n 3 /tmp/fio.txt)"
echo "nvme: fio verified"
after=$(awk '/nvme0q/ { for (i = 2; i <= 3; i++) sum += $i } END { print sum + 0 }' /proc/interrupts)
echo "nvme: $(grep -c nvme0q /proc/interrupts) vectors, $((after - before)) interrupts"
grep -q 'PCI-MSI.*nvme0q' /proc/interrupts || wrong "no messages"
[ "$after" -gt "$before" ] || wrong "no interrupts"
pattern 5 1048576 | dd of=$drive bs=1M oflag=direct conv=fsync iflag=fullblock 2>/dev/null || wrong "dd"
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|irq|nvme|BAR ')
[ -z "$complaints" ] || wrong "complaints of the kernel: $complaints"
