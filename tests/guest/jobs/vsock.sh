#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's end of scenario "vsock". What went wrong begins with "vsock: wrong: ".
expect() { if [ "$2" = "$3" ]; then echo "vsock: $1: $2"; else echo "vsock: wrong: $1: '$2', not '$3'"; fi; }
driver=/sys/bus/virtio/drivers/vmw_vsock_virtio_transport

expect "device" "$(cat /sys/bus/virtio/devices/virtio0/device)" 0x0013
vsock_streams refused
vsock_streams guest "${streams:?}" "${bytes:?}" && echo "vsock: first round done"

# The driver goes, and comes again to a device that was reset.
echo virtio0 >$driver/unbind || echo "vsock: wrong: unbind"
echo virtio0 >$driver/bind || echo "vsock: wrong: bind"
echo "vsock: bound anew"
vsock_streams guest "$streams" "$bytes" && echo "vsock: second round done"
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|acpi|virtio|vsock')
expect "complaints of the kernel" "$complaints" ""
