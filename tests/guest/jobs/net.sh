#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Uses the network device of the scenarios "net" and "net-vhost" from the guest's side. Each line that the
# scenario waits for begins with "net: "; what went wrong with "net: wrong: ". With brief=1, of what the tap
# does there is only one stream each way.
wrong() { echo "net: wrong: $*"; }
# expect WHAT SEEN EXPECTED
expect() { if [ "$2" = "$3" ]; then echo "net: $1: $2"; else wrong "$1: '$2', expected '$3'"; fi; }

bytes=4194304
host=192.168.77.1
device=/sys/class/net/eth0
mkdir -p /tmp
mount -t tmpfs tmpfs /tmp

plug_in() {
    ip link set eth0 up
    ip addr add 192.168.77.2/24 dev eth0
    ping -c 1 -W 30 "$host" >/dev/null || wrong "no answer to a ping"
}
offload() { ethtool -k eth0 | sed -n "s/^[[:space:]]*$1: \([a-z]*\).*/\1/p"; }
# counted KIND: bytes and packets, rx or tx.
counted() { cat "$device/statistics/$1_bytes" "$device/statistics/$1_packets" | tr '\n' ' '; }
# stream KIND SIZE WHAT: over four connections, tx to the host or rx from it. The frames are larger than the
# MTU when they are "joined", and not when they are "single".
stream() {
    reverse=
    [ "$1" = tx ] || reverse=-R
    # shellcheck disable=SC2046  # two numbers each
    set -- "$@" $(counted "$1")
    # shellcheck disable=SC2086  # an option, or nothing
    iperf3 -c "$host" -P 4 -t 3 -f m $reverse >/tmp/iperf.txt 2>&1
    # shellcheck disable=SC2046
    set -- "$@" $(counted "$1")
    frame=$((($6 - $4) / ($7 - $5)))
    figure=$(sed -n 's/^\[SUM\][^s]*sec *\(.*[^ ]\) *receiver.*/\1/p' /tmp/iperf.txt)
    [ -n "$figure" ] || wrong "iperf3, $3: $(cat /tmp/iperf.txt)"
    case $2 in
        joined) [ "$frame" -gt $(($(cat $device/mtu) + 14)) ] || wrong "$3: frames of $frame bytes on average" ;;
        single) [ "$frame" -le $(($(cat $device/mtu) + 14)) ] || wrong "$3: frames of $frame bytes on average" ;;
    esac
    echo "net: $3: $figure, $frame bytes a frame"
}

expect "address" "$(cat $device/address)" 02:00:00:00:00:11
expect "MTU" "$(cat $device/mtu)" 9000
expect "pairs of queues" "$(find $device/queues -name 'rx-*' | wc -l)" 2
plug_in
expect "vectors of MSI-X" "$(grep -c 'virtio0-' /proc/interrupts)" 5
for name in tx-checksumming rx-checksumming tcp-segmentation-offload rx-gro-hw; do
    expect "$name" "$(offload $name)" on
done
ping -c 3 -s 8900 -W 30 "$host" >/dev/null || wrong "no answer to a long ping"

pattern 1 $bytes | nc "$host" 5000
echo "net: sent"
echo "net: listening"
sum=$(nc -l -p 5001 | md5sum)
echo "net: sum ${sum%% *}"

stream tx joined "to the host, MTU 9000"
stream rx joined "from the host, MTU 9000"
if [ -z "${brief:-}" ]; then
    ip link set eth0 mtu 1500
    stream tx joined "to the host, MTU 1500"
    stream rx joined "from the host, MTU 1500"
    ethtool -K eth0 tso off gso off
    stream tx single "to the host, segmented by the guest"
    ethtool -K eth0 tso on gso on
fi

# Commands of the control queue.
ethtool -K eth0 rx-gro-hw off || wrong "offloads cannot be switched off"
[ -n "${brief:-}" ] || stream rx single "from the host, segmented by it"
ethtool -K eth0 rx-gro-hw on || wrong "offloads cannot be switched on"
ethtool -L eth0 combined 1 || wrong "one pair of queues is refused"
stream rx joined "from the host, one pair of queues"
ethtool -L eth0 combined 2 || wrong "two pairs of queues are refused"
stream rx joined "from the host, two pairs of queues"

# A reset, with frames on their way.
iperf3 -c "$host" -t 100 >/dev/null 2>&1 &
iperf3 -c "$host" -p 5202 -R -t 100 >/dev/null 2>&1 &
for _ in 1 2 3; do
    sleep 0.5
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind
    echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind
    plug_in
done
expect "carrier" "$(cat $device/carrier)" 1

echo "net: waiting for the link's end"
while [ "$(cat $device/carrier)" = 1 ]; do sleep 0.1; done
expect "carrier" "$(cat $device/carrier)" 0
complaints=$(dmesg -r | grep '^<[0-4]>' | grep -iE 'pci|acpi|virtio|net|eth0')
expect "complaints of the kernel" "$complaints" ""
