#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Uses the network that passt gives, from the guest's side. Each line that the scenario waits for begins
# with "passt: "; what went wrong with "passt: wrong: ".
wrong() { echo "passt: wrong: $*"; }
# expect WHAT SEEN EXPECTED
expect() { if [ "$2" = "$3" ]; then echo "passt: $1: $2"; else wrong "$1: '$2', expected '$3'"; fi; }

bytes=4194304
device=/sys/class/net/eth0
mkdir -p /tmp
mount -t tmpfs tmpfs /tmp

cat >/tmp/dhcp <<'SCRIPT'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
echo "$ip" >/tmp/address
echo "$router" >/tmp/router
SCRIPT
chmod +x /tmp/dhcp
ip link set eth0 up
udhcpc -i eth0 -n -q -t 20 -s /tmp/dhcp >/tmp/udhcpc 2>&1 || wrong "DHCP: $(cat /tmp/udhcpc)"
expect "address" "$(cat /tmp/address)" 10.99.0.2
host=$(cat /tmp/router)

pattern 1 $bytes | nc "$host" 5000
echo "passt: sent"
sum=$(wget -q -O - "http://$host:8080/data" | md5sum)
echo "passt: sum ${sum%% *}"
echo "passt: waiting for the link's end"
while [ "$(cat $device/carrier)" = 1 ]; do sleep 0.1; done
expect "carrier" "$(cat $device/carrier)" 0
