#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# First process of the initramfs that goes with a Debian disk: loads the drivers, and hands over to the
# system on /dev/vda.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    insmod "$module" || echo "initramfs: cannot load $module"
done

# The driver looks for its devices when it is loaded, and makes the disk a moment later.
tries=0
until [ -b /dev/vda ] || [ $((tries += 1)) -gt 100 ]; do
    sleep 0.1
done
mkdir -p /root
if ! mount -t ext4 /dev/vda /root; then
    echo "initramfs: no root file system on /dev/vda"
    poweroff -f
fi
for folder in dev sys proc; do
    mount -o move "/$folder" "/root/$folder"
done
exec switch_root /root /sbin/init
