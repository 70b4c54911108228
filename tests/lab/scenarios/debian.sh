#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: Debian on a virtio disk: boots to a login prompt, no failed unit, a network, a clean power-off
# Needs: memory=1536 kernels=6.1 time=900 disk=debian outer_modules=virtio_pci,virtio_blk,tun outer_programs=e2fsck
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
mkfifo input
exec 3<>input # both ends, so that opening does not block
vm_input=input
# ask NAME COMMANDS [SECONDS]: sets answer, from the lines "NAME: LINE" before "NAME: end".
ask() {
    echo "{ $2; } 2>&1 | sed 's/^/$1: /'; echo '$1: end'" >&3
    vm_expect "^$1: end" "${3:-300}"
    answer=$(tr -d '\r' <"$vm/console" | sed -n "s/^$1: //p" | sed '$d')
}

# The other end of the guest's network, which gives it an address.
tunctl -t vm0 >/dev/null || fail "no interface can be made"
ip addr add 10.99.0.1/24 dev vm0
ip link set vm0 up
: >leases
printf '%s\n' "interface vm0" "start 10.99.0.10" "end 10.99.0.10" "option subnet 255.255.255.0" \
    "option router 10.99.0.1" "lease_file $PWD/leases" "pidfile $PWD/udhcpd.pid" >udhcpd.conf
udhcpd -f udhcpd.conf 2>/dev/null &

began=$(uptime_seconds)
vm_start --kernel "$kernels/6.1/bzImage" --initrd /lab/debian/initrd --memory 512M --disk /dev/vda \
    --net tap=vm0 --cmdline "console=ttyS0 quiet panic=-1"
vm_expect "debian login:" 600
step "a login prompt after $(($(uptime_seconds) - began)) s"
echo root >&3
vm_expect "root@debian:~#"
# After the end of a line nothing comes but answers.
echo "stty -echo; PS1= exec sh" >&3
echo "echo; echo ready" >&3
vm_expect "^ready"

ask state "systemctl is-system-running --wait"
state=$answer
step "$(($(uptime_seconds) - began)) s: the system is $state"
ask failed "systemctl --failed --no-legend --plain --no-pager"
[ "$state" = running ] || fail "the system is '$state', not running: $answer"
ask target "systemctl is-active multi-user.target"
[ "$answer" = active ] || fail "multi-user.target is '$answer'"
ask network "/lib/systemd/systemd-networkd-wait-online --timeout=120; ip -4 -brief address"
case $answer in
    *10.99.0.10/24*) step "the guest has the address 10.99.0.10" ;;
    *) fail "no address by DHCP: $answer" ;;
esac
ping -c 3 10.99.0.10 >/dev/null || fail "the guest does not answer to its address"
ask time "systemd-analyze time; systemd-analyze blame --no-pager | head -n 3"
echo "$answer" | while read -r line; do step "$line"; done
ask journal "journalctl -b -p warning --no-pager -o cat"
[ -n "$answer" ] && echo "$answer" | while read -r line; do step "journal: $line"; done
complaints=$(echo "$answer" | grep -iE 'virtio|ext4|vda|pci|acpi')
[ -z "$complaints" ] || fail "the journal complains: $complaints"
echo poweroff >&3
vm_exit 0 300
step "off after $(($(uptime_seconds) - began)) s"

checked=$(e2fsck -f -n /dev/vda 2>&1) || fail "the file system has errors: $checked"
case $checked in
    *"skipping journal recovery"*) fail "the file system was not unmounted: $checked" ;;
esac
step "$(echo "$checked" | tail -n 1)"
pass
