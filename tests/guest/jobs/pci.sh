#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the PCI buses of scenario "pci" from the guest's side. Each line that the scenario waits
# for begins with "pci: "; what went wrong with "pci: wrong: ".
wrong() { echo "pci: wrong: $*"; }
# expect WHAT SEEN EXPECTED
expect() { if [ "$2" = "$3" ]; then echo "pci: $1: $2"; else wrong "$1: '$2', expected '$3'"; fi; }
devices=/sys/bus/pci/devices

# functions DRIVER: the addresses of those that it drives.
functions() {
    for entry in "/sys/bus/pci/drivers/$1"/????:??:??.?; do
        [ ! -e "$entry" ] || echo "${entry##*/}"
    done
}
drivers() { functions virtio-pci | wc -l; }

# in_window ADDRESS BUS: whether BAR 0 lies in a window of the host bridge with that root bus, and
# behind a port in one of the bus that the port leads to.
in_window() {
    function=$1 bus=$2
    read -r first last _ <"$devices/$function/resource"
    [ $((first)) -ne 0 ] || {
        wrong "$function: BAR 0 has no address"
        return
    }
    # All are of 16 digits, so that text compares as numbers do; the x keeps it text.
    awk -v first="x${first#0x}" -v last="x${last#0x}" -v bus="PCI Bus 0000:$bus" '
        { split($1, range, "-") }
        index($0, bus) && "x" range[1] <= first && last <= "x" range[2] { found = 1 }
        END { exit !found }' /tmp/iomem || wrong "$function: BAR 0 at $first lies in no window of bus $bus"
}

# data WHEN: everything behind the buses can be used.
data() {
    for disk in /dev/vda /dev/vdb /dev/vdc; do
        expect "$1: $disk" "$(head -c 4 "$disk")" "disk"
    done
    expect "$1: random bytes" "$(head -c 64 /dev/hwrng | wc -c)" 64
}

mkdir -p /tmp
mount -t tmpfs tmpfs /tmp
awk '{ sub(/^ */, ""); split($1, r, "-")
    z = "0000000000000000"
    $1 = substr(z, 1, 16 - length(r[1])) r[1] "-" substr(z, 1, 16 - length(r[2])) r[2]; print }' \
    /proc/iomem >/tmp/iomem

echo "pci: tree begins"
lspci -t
echo "pci: tree ends"
echo "pci: lspci begins"
lspci -vv -nn
echo "pci: lspci ends"
sed 's/^/pci: iomem /' /tmp/iomem | grep 'PCI Bus'

expect "functions of virtio" "$(drivers)" "${devices_expected:?}"
for function in $(functions virtio-pci); do
    bus=${function#*:}
    in_window "$function" "${bus%%:*}"
done
data "at the start"
expect "ports" "$(functions pcieport | wc -l)" "${ports_expected:?}"

# Away with all of them and back again: other addresses may come out, the same devices must.
names=$(functions virtio-pci)
for function in $names; do
    echo 1 >"$devices/$function/remove"
done
expect "removed" "$(drivers)" 0
echo 1 >/sys/bus/pci/rescan
expect "after a rescan" "$(functions virtio-pci)" "$names"
data "after a rescan"
# With their ports, from the far host bridge's bus too.
for port in $(functions pcieport); do
    echo 1 >"$devices/$port/remove"
done
echo 1 >/sys/bus/pci/rescan
expect "after a rescan with ports" "$(functions virtio-pci)" "$names"
data "after a rescan with ports"

# A function level reset, as somebody else than a driver asks for it.
random=
for function in $names; do
    case $(cat "$devices/$function/device") in
        0x1044) random=$function ;;
    esac
done
echo "$random" >/sys/bus/pci/drivers/virtio-pci/unbind
expect "ways to reset a function" "$(cat "$devices/$random/reset_method")" flr
echo 1 >"$devices/$random/reset" || wrong "no function level reset of $random"
echo "$random" >/sys/bus/pci/drivers/virtio-pci/bind
data "after a function level reset"

# What the kernel says as loudly as a warning, of whatever; but for a flaw of the emulated processor.
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -v 'Speculative Return Stack Overflow')
expect "complaints of the kernel" "$complaints" ""
