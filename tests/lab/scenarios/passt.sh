#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a network by passt, which the VMM starts and takes with it: DHCP, streams both ways, its end
# Needs: memory=2048 kernels=6.1 time=900 outer_modules=tun outer_programs=passt guest_modules=virtio_pci,virtio_net

# passt shuts itself in by pivot_root(2), which cannot leave an initramfs: everything moves to a tmpfs.
if [ ! -e /moved ]; then
    mkdir /new
    mount -t tmpfs new /new
    for entry in /*; do
        case $entry in
            /new | /proc | /sys | /dev | /tmp | /run) ;;
            *) cp -a "$entry" /new/ ;;
        esac
    done
    for folder in proc sys dev tmp run; do
        mkdir "/new/$folder"
        mount -o move "/$folder" "/new/$folder"
    done
    touch /new/moved
    cd /new || exit
    mount -o move . /
    exec chroot . /bin/sh /lab/scenario.sh
fi
cd /tmp || exit
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
bytes=4194304

# The network of this machine: an interface with a route to everywhere, which leads nowhere. Its
# router's address is this machine to the guest.
mkdir -p /etc www
echo 'root:x:0:0::/root:/bin/sh
nobody:x:65534:65534::/:/bin/false' >/etc/passwd
tunctl -t net0 >/dev/null || fail "no interface can be made"
ip link set net0 up
ip addr add 10.99.0.2/24 dev net0
ip route add default via 10.99.0.1
pattern 2 $bytes >www/data
httpd -p 8080 -h "$PWD/www"
# With its input open: a listener without one tells the other side that there is no more to come.
sleep 1000 | nc -l -p 5000 >received &

vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 256M --cmdline "console=ttyS0 quiet panic=-1 job=passt" --net passt
vm_expect "passt: sent" 300
pattern 1 $bytes >expected
await 30 cmp -s received expected || fail "$(stat -c %s received) bytes came, or others than were sent"
step "from the guest: $bytes bytes as they were sent"
vm_expect "passt: sum" 300
sum=$(md5sum www/data)
vm_said "passt: sum ${sum%% *}" || fail "the guest received other bytes than were sent"
step "to the guest: $bytes bytes as they were sent"
vm_expect "passt: waiting for the link's end"
killall passt || fail "no passt runs"
vm_expect "passt: carrier: 0"
vm_exit 0
vm_said "guest: job passt done" || fail "the guest did not come to its end"
if vm_said "passt: wrong"; then
    fail "$(tr -d '\r' <"$vm/console" | grep 'passt: wrong' | head -5)"
fi
grep -q "passt: .*; the guest's link is down" "$vm/errors" || fail "no word of the lost link: $(cat "$vm/errors")"
step "a passt that ends takes the link down"

no_passt() { ! pidof passt >/dev/null; }
for signal in TERM KILL; do
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" \
        --cmdline "console=ttyS0 quiet panic=-1 job=sleep" --shutdown-timeout 1 --net passt
    vm_expect "guest: sleeping"
    pidof passt >/dev/null || fail "no passt runs"
    kill -s $signal "$vm_pid"
    await 60 vm_ended || fail "the VMM does not end by SIG$signal"
    await 30 no_passt || fail "a passt outlives the VMM that SIG$signal ended"
    step "SIG$signal: passt ends with the VMM"
done
pass
