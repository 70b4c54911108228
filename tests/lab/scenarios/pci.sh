#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: host bridges, root ports and devices on them, as lspci and the kernel of a guest see them
# Needs: memory=2048 kernels=6.1 time=600 guest_modules=virtio_pci,virtio_blk,virtio_rng,virtio_console,virtio_balloon,vmw_vsock_virtio_transport guest_programs=lspci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
for disk in near.img slot.img far.img; do
    printf 'disk' >"$disk"
    truncate -s 1M "$disk"
done
# between NAME: what the guest printed between "pci: NAME begins" and "pci: NAME ends".
between() { tr -d '\r' <"$vm/console" | sed -n "/pci: $1 begins/,/pci: $1 ends/p" | sed '1d;$d'; }

# Bus 0: a disk and random bytes, and behind ports a disk and a balloon. Bus 3, of a host bridge of its
# own: a disk, and behind ports a console and sockets. Bus 6: a host bridge with nothing.
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 512M --cpus 2 --host-bridge far --host-bridge vacant \
    --disk near.img --disk slot.img,root-port --disk far.img,bus=far \
    --vsock cid=3,path=/tmp/vsock,bus=far,root-port --console null,bus=far,root-port \
    --rng --balloon root-port \
    --cmdline "console=ttyS0 quiet panic=-1 job=pci devices_expected=7 ports_expected=4"
vm_expect "pci: lspci ends" 300
between tree >tree.txt
cat >expected.txt <<'TREE'
-+-[0000:00]-+-00.0
 |           +-01.0
 |           +-02.0-[01]----00.0
 |           +-03.0
 |           \-04.0-[02]----00.0
 +-[0000:03]-+-00.0
 |           +-01.0
 |           +-02.0-[04]----00.0
 |           \-03.0-[05]----00.0
 \-[0000:06]---00.0
TREE
cmp -s tree.txt expected.txt || fail "lspci -t is another tree: $(cat tree.txt)"
step "lspci -t: $(wc -l <tree.txt) lines, as configured"
between lspci >lspci.txt
# pciutils 3.9 has no name for the configuration access window of virtio 1.2, 4.1.4.9.
complaints=$(sed 's/VirtIO: <unknown>//' lspci.txt |
    grep -iE '!!!|unknown|<access denied|<invalid|<chain|<unassigned|<ignored|Region.*\[disabled\]|\[virtual\]|<MAbort\+|<TAbort\+') &&
    fail "lspci complains: $complaints"
expect_count() {
    seen=$(grep -c "$2" lspci.txt)
    [ "$seen" = "$3" ] || fail "lspci: $seen times $1, expected $3"
}
expect_count "a host bridge" 'Class \[0600\]' 3
expect_count "a port" 'Class \[0604\]' 4
expect_count "a BAR with an address" 'Region 0: Memory at [0-9a-f]* (64-bit' 7
expect_count "a window of a port" 'Memory behind bridge: [0-9a-f]*-[0-9a-f]* \[size=1M\] \[32-bit\]' 4
expect_count "an endpoint in a slot" 'Express (v2) Endpoint' 4
expect_count "an integrated endpoint" 'Express (v2) Root Complex Integrated Endpoint' 3
step "lspci -vv: $(grep -c Capabilities: lspci.txt) capabilities decoded, without a complaint"
vm_exit 0 300
vm_said "guest: job pci done" || fail "the guest did not come to its end"
if vm_said "pci: wrong"; then
    fail "$(tr -d '\r' <"$vm/console" | grep 'pci: wrong' | head -5)"
fi
tr -d '\r' <"$vm/console" | grep '^pci: ' | grep -v 'lspci\|tree\|iomem' | while read -r line; do step "$line"; done
[ ! -s "$vm/errors" ] || fail "the VMM says: $(cat "$vm/errors")"
pass
