#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First process of the guest whose disk is measured. With arguments it is what fio runs in front of
# and behind each of its jobs: says "phase ..." and waits until the sample is taken.
if [ $# -gt 0 ]; then
    echo "phase $*" >/dev/console
    read -r _ </dev/console
    exit 0
fi
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
mkdir -p /tmp /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
for module in /modules/*.ko; do
    insmod "$module" || echo "guest: cannot load $module"
done
stty -F /dev/ttyS0 -echo
cd /tmp || exit

# job NAME RW DEPTH BYTES OPERATIONS
job() {
    printf '[%s]\nrw=%s\niodepth=%s\nbs=%s\nnumber_ios=%s\nstonewall\n' "$1" "$2" "$3" "$4" "$5"
    printf 'exec_prerun=/init begin %s\nexec_postrun=/init end %s %s\n' "$1" "$1" "$5"
}
{
    # The clock is fio's own affair: what counts is taken outside.
    printf '[global]\nfilename=/dev/vda\ndirect=1\nioengine=libaio\nthread\nnorandommap\n'
    printf 'gtod_reduce=1\n'
    job warm_up randread 16 4k 500
    for depth in 1 16 64; do
        job "random_read_$depth" randread "$depth" 4k "${operations:?}"
        job "random_write_$depth" randwrite "$depth" 4k "${operations:?}"
    done
    job sequential_read read 4 1M "${transfers:?}"
    job sequential_write write 4 1M "${transfers:?}"
} >fio.jobs
if fio --eta=never --output=result fio.jobs; then
    echo "guest: fio is done"
else
    tail -n 20 result
fi
poweroff -f
