#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# First process of the guest whose network is measured.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    insmod "$module" || echo "guest: cannot load $module"
done
stty -F /dev/ttyS0 -echo
ip link set lo up
ip link set eth0 up
ip addr add 192.168.77.2/24 dev eth0
# The first packet also waits until the host's side is set up.
if ping -c 1 -W 30 192.168.77.1 >/dev/null &&
    net_load guest 192.168.77.1 5000 "${requests:?}" "${mebibytes:?}"; then
    echo "guest: the network is measured"
fi
poweroff -f
