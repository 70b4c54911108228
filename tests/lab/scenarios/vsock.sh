#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: 64 streams at once between guest and host, every byte checked, before and after a rebind
# Needs: memory=2048 kernels=6.1 time=600 guest_modules=virtio_pci,vmw_vsock_virtio_transport
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
streams=32 # from each side
bytes=262144
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --initrd "$kernels/6.1/extra" \
    --memory 256M --cpus 2 \
    --cmdline "console=ttyS0 quiet panic=-1 job=vsock streams=$streams bytes=$bytes" \
    --vsock cid=42,path=vm.sock
listens() { [ "$(tr -d '\r' <"$vm/console" | grep -c '^vsock: listening')" -ge "$1" ]; }
listens_or_ended() { listens "$1" || vm_ended; }

# round NAME COUNT: both ends at once.
round() {
    await 120 listens_or_ended "$2" || fail "the guest does not listen for the $1 round"
    vsock_streams host vm.sock $streams $bytes >host.txt 2>&1 || fail "$1 round: $(tail -n 1 host.txt)"
    vm_expect "vsock: $1 round done" 240
    step "$1 round: $(tail -n 1 host.txt)"
}
round first 1
vsock_streams refused vm.sock >refused.txt 2>&1 || fail "$(tail -n 1 refused.txt)"
step "from the host: $(cat refused.txt)"
round second 2

vm_exit 0
vm_said "vsock: refused where nobody listens" || fail "the guest was not refused"
! vm_said "vsock: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'vsock: wrong' | head -n 3)"
[ ! -e vm.sock ] || fail "the socket is still there"
[ ! -s "$vm/errors" ] || fail "the VMM complains: $(head -n 3 "$vm/errors")"
pass
