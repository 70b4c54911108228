#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds the passed edu device and checks it: by MSI, and by its pin where uio_pci_generic is there.
device=$(grep -l 0x11e8 /sys/bus/pci/devices/*/device | head -n 1)
device=${device%/device}
[ -n "$device" ] || echo "edu: wrong: no device"
echo "edu: ${device##*/}"
if [ -d /sys/bus/pci/drivers/uio_pci_generic ]; then
    echo uio_pci_generic >"$device/driver_override"
    echo "${device##*/}" >/sys/bus/pci/drivers_probe
    edu_check "${device##*/}" intx /dev/uio0
    grep uio /proc/interrupts
else
    edu_check "${device##*/}"
fi
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|irq|BAR ')
[ -z "$complaints" ] || echo "edu: wrong: complaints of the kernel: $complaints"
