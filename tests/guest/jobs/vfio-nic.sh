#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pings through the passed network card, first with its interrupts left alone and then with each of
# them moved from one CPU to the other all the time, which masks and unmasks it. QEMU's user network
# answers. Lines begin with "nic: "; what went wrong with "nic: wrong: ".
wrong() { echo "nic: wrong: $*"; }
card=$(basename "$(echo /sys/class/net/e*)")
ip link set "$card" up || wrong "no card"
ip address add 10.0.2.15/24 dev "$card"
# pings COUNT: how many are answered.
pings() { ping -c "$1" -i 0.02 -W 5 10.0.2.2 | sed -n 's/.* \([0-9]*\) packets received.*/\1/p'; }
pings 3 >/dev/null # until addresses are known
answered=$(pings 100)
[ "$answered" = 100 ] || wrong "$answered of 100 pings were answered"
irqs=$(sed -n 's/^ *\([0-9]*\):.*virtio.*/\1/p' /proc/interrupts)
[ -n "$irqs" ] || wrong "no vectors"
grep -q 'PCI-MSI.*virtio' /proc/interrupts || wrong "no messages"
(
    moves=0
    while [ ! -e /moved ]; do
        for irq in $irqs; do
            echo $((1 + moves % 2)) >"/proc/irq/$irq/smp_affinity"
            moves=$((moves + 1))
        done
    done 2>/dev/null
    echo "nic: $moves moves of $(echo "$irqs" | wc -l) vectors"
) &
answered=$(pings 300)
[ "$answered" = 300 ] || wrong "$answered of 300 pings were answered while vectors moved"
touch /moved
wait
both=$(awk '/virtio/ && $2 > 0 && $3 > 0 { n++ } END { print n + 0 }' /proc/interrupts)
[ "$both" -gt 0 ] || wrong "no vector was taken by both CPUs"
# Bound anew: the device is reset, and works again.
device=$(basename "$(readlink -f "/sys/class/net/$card/device/..")")
for round in 1 2 3 4 5; do
    echo "$device" >/sys/bus/pci/drivers/virtio-pci/unbind
    echo "$device" >/sys/bus/pci/drivers/virtio-pci/bind
    card=$(basename "$(echo /sys/class/net/e*)")
    ip link set "$card" up || wrong "no card in round $round"
    ip address add 10.0.2.15/24 dev "$card"
    answered=$(pings 5)
    [ "${answered:-0}" -ge 4 ] || wrong "$answered of 5 pings were answered in round $round"
done
echo "nic: the driver was bound anew $round times"
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|irq|virtio|BAR ')
[ -z "$complaints" ] || wrong "complaints of the kernel: $complaints"
