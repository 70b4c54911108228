#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a virtio network device whose queues the kernel serves: streams both ways, resets, a lost link
# Needs: memory=2048 kernels=6.1 time=900 outer_modules=tun,vhost_net outer_programs=iperf3 guest_modules=virtio_pci,virtio_net guest_programs=iperf3,ethtool
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
bytes=4194304
sum() { md5sum "$1" | cut -d' ' -f1; }
# start NET: with the job of scenario "net".
start() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" \
        --initrd "$kernels/6.1/extra" --memory 512M --cpus 2 \
        --cmdline "console=ttyS0 quiet panic=-1 job=net brief=1" --net "$1"
}

mkdir -p /dev/net
[ -e /dev/vhost-net ] || fail "the outer machine has no /dev/vhost-net"

mv /dev/vhost-net /dev/elsewhere
start tap=vm0,vhost
vm_exit 1 30
grep -q -- "--net: vhost: /dev/vhost-net: modprobe vhost_net" "$vm/errors" ||
    fail "no remedy for a driver that is not there: $(cat "$vm/errors")"
mv /dev/elsewhere /dev/vhost-net
step "what to do without the driver: $(cat "$vm/errors")"

# With its input open: a listener without one tells the other side that there is no more to come.
sleep 1000 | nc -l -p 5000 >received &
iperf3 -s >/dev/null 2>&1 &
iperf3 -s -p 5202 >/dev/null 2>&1 &

# As somebody else has opened it, for each pair of queues.
exec 5<>/dev/vhost-net 6<>/dev/vhost-net
start tap=vm0,queues=2,mtu=9000,mac=02:00:00:00:00:11,vhost-fd=5:6
exec 5>&- 6>&-
await 60 grep -qsx 9000 /sys/class/net/vm0/mtu || fail "no interface with that MTU was made"
ip addr add 192.168.77.1/24 dev vm0

await 300 vm_said_or_ended "net: sent"
vm_said "net: sent" || fail "$(stat -c %s received) of $bytes bytes came, and the guest sent no more"
pattern 1 $bytes >expected
await 30 cmp -s received expected || fail "$(stat -c %s received) bytes came, or others than were sent"
step "from the guest: $bytes bytes as they were sent"
vm_expect "net: listening"
pattern 2 $bytes >expected
nc 192.168.77.2 5001 <expected
vm_expect "net: sum" 300
vm_said "net: sum $(sum expected)" || fail "the guest received other bytes than were sent"
step "to the guest: $bytes bytes as they were sent"
workers=$(cat /proc/[0-9]*/comm | grep -c "^vhost-$vm_pid\$")
[ "$workers" -ge 1 ] || fail "no thread of the kernel's serves the queues"
vm_expect "net: waiting for the link's end" 600
busy=0
for process in /proc/[0-9]*; do
    if [ "$(cat "$process/comm" 2>/dev/null)" = "vhost-$vm_pid" ]; then
        busy=$((busy + $(cut -d' ' -f15 "$process/stat")))
    fi
done
[ "$busy" -gt 0 ] || fail "the kernel's threads have done nothing"
step "$workers threads of the kernel's have worked for $busy ticks"
ip link delete vm0
vm_expect "net: carrier: 0"
vm_exit 0
vm_said "guest: job net done" || fail "the guest did not come to its end"
if vm_said "net: wrong"; then
    fail "$(tr -d '\r' <"$vm/console" | grep 'net: wrong' | head -5)"
fi
grep -q "tap vm0: .*; the guest's link is down" "$vm/errors" || fail "no word of the lost link: $(cat "$vm/errors")"
tr -d '\r' <"$vm/console" | grep '^net: ' | while read -r line; do step "$line"; done
pass
