#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures the disks of scenario "disk-rate", which have limits: nothing may be faster than they are.
# Each line begins with "disk: "; what went wrong with "disk: wrong: ".
wrong() { echo "disk: wrong: $*"; }
now() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; } # in milliseconds
# Requests and KiB that the guest's kernel has had answered by a disk, reads and writes together.
requests() { awk '{ print $1 + $5 }' "/sys/block/$1/stat"; }
kibibytes() { awk '{ print ($3 + $7) / 2 }' "/sys/block/$1/stat"; }
# limited DISK UNIT RATE AHEAD EXPECTED FIO_OPTIONS...: so many units a second at most, and AHEAD more
limited() {
    disk=$1 unit=$2 rate=$3 ahead=$4 expected=$5
    shift 5
    began=$(now) before=$("$unit" "$disk")
    fio --name=limit "--filename=/dev/$disk" --direct=1 --ioengine=psync --thread --minimal "$@" \
        >/tmp/fio.txt 2>&1 || wrong "fio $*: $(tail -n 3 /tmp/fio.txt)"
    took=$(($(now) - began)) amount=$(($("$unit" "$disk") - before))
    [ "$amount" -ge "$expected" ] || wrong "$*: $amount $unit, of $expected"
    # /proc/uptime counts hundredths of a second.
    if [ "$amount" -le $((ahead + rate * (took + 20) / 1000)) ]; then
        echo "disk: $*: $amount $unit in $took ms"
    else
        wrong "$*: $amount $unit in $took ms, with a limit of $rate a second"
    fi
}

mkdir -p /tmp /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm

limited vda requests 50 5 150 --rw=randread --bs=512 --size=75k
limited vda requests 50 5 150 --rw=randrw --bs=4k --size=300k --numjobs=2 --offset_increment=1M
limited vdb kibibytes 256 64 1024 --rw=read --bs=16k --size=1M
limited vdb kibibytes 256 64 1024 --rw=write --bs=16k --size=1M
# More than the burst: the first of them is owed in part, and the second waits until that is paid.
limited vdb kibibytes 256 512 1024 --rw=read --bs=512k --size=1M
