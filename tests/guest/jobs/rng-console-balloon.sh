#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the devices of scenario "rng-console-balloon" from the guest's side. Each line that the
# scenario waits for begins with "devices: "; what went wrong with "devices: wrong: ". words=LIST on
# the kernel command line says which.
wrong() { echo "devices: wrong: $*"; }
# expect WHAT SEEN EXPECTED
expect() { if [ "$2" = "$3" ]; then echo "devices: $1: $2"; else wrong "$1: '$2', expected '$3'"; fi; }
total() { awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo; }
# Until the scenario has looked: it sends a line.
pause() {
    echo "devices: $1"
    read -r _ <&4
}

mkdir -p /tmp
mount -t tmpfs -o size=400m tmpfs /tmp
exec 4<>/dev/hvc0 # first: the settings are those of the open terminal, and go with the last close
stty raw -echo <&4

random() {
    expect "source of random bytes" "$(cat /sys/class/misc/hw_random/rng_current)" virtio_rng.0
    dd if=/dev/hwrng of=/tmp/one bs=4k count=16 iflag=fullblock 2>/dev/null || wrong "no random bytes"
    dd if=/dev/hwrng of=/tmp/two bs=4k count=16 iflag=fullblock 2>/dev/null || wrong "no random bytes"
    expect "random bytes" "$(wc -c </tmp/one) $(wc -c </tmp/two)" "65536 65536"
    cmp -s /tmp/one /tmp/two && wrong "the same random bytes twice"
    # 64 KiB of noise do not get smaller.
    [ "$(gzip -c /tmp/one | wc -c)" -gt 65536 ] || wrong "random bytes with a pattern"
    rm /tmp/one /tmp/two
}

stream() {
    echo "devices: console is ready"
    sum=$(head -c "${bytes:?}" <&4 | md5sum)
    echo "devices: received ${sum%% *}"
    pattern 2 "$bytes" >&4
    echo "devices: sent"
}

# Memory that was used and is free: the host does not know.
fill() {
    dd if=/dev/zero of=/tmp/fill bs=1M count="${mebibytes:?}" 2>/dev/null || wrong "cannot fill"
    pause "filled"
    rm /tmp/fill
}

balloon() {
    left=120
    before=0
    while [ "$(total)" != "$before" ] && [ "$left" -gt 0 ]; do
        before=$(total)
        sleep 2
        left=$((left - 2))
    done
    device=$(basename "$(echo /sys/bus/virtio/drivers/virtio_balloon/virtio*)")
    echo "$device" >/sys/bus/virtio/drivers/virtio_balloon/unbind
    echo "devices: memory: $before MiB with the balloon, $(total) without"
    fill
    pause "freed"
    echo "$device" >/sys/bus/virtio/drivers/virtio_balloon/bind
    left=60
    while [ "$(total)" -gt "$before" ] && [ "$left" -gt 0 ]; do
        sleep 1
        left=$((left - 1))
    done
    expect "MiB of memory with the balloon again" "$(total)" "$before"
    pause "inflated"
}

report() {
    fill
    pause "freed"
    # What the host took comes back as good as new.
    memory_check 50
}

for word in $(echo "${words:?}" | tr , ' '); do
    "$word"
done
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|acpi|virtio|balloon|hvc|rng')
expect "complaints of the kernel" "$complaints" ""
