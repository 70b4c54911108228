#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a passed device without root: permissions and limit of pinned memory refused clearly, then enough
# Needs: memory=2048 kernels=6.1 outer=7 time=400 devices=edu outer_modules=vfio_iommu_type1,vfio-pci
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
# shellcheck disable=SC3045  # the ulimit of busybox has these
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
device=0000:00:10.0
bind_to_vfio "$device"
group=$(basename "$(readlink "/sys/bus/pci/devices/$device/iommu_group")")
mkdir -p /etc
echo "user:x:1000:1000::/tmp:/bin/sh" >/etc/passwd
chmod 666 /dev/kvm
chmod 1777 /tmp "$vms"
export XDG_CACHE_HOME=/tmp/cache
# shellcheck disable=SC2034  # for vm_start
vmm_prefix="su -s /bin/env -- user"
run() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --memory 256M \
        --cmdline "console=ttyS0 quiet panic=-1 job=vfio-edu" --device "$device"
}
# refused PATTERN: and says nothing else.
refused() {
    run
    vm_exit 1
    grep -q "$1" "$vm/errors" || fail "no '$1': $(cat "$vm/errors")"
    [ "$(wc -l <"$vm/errors")" = 1 ] || fail "more than one line: $(cat "$vm/errors")"
    step "$(cat "$vm/errors")"
}
ulimit -l unlimited
refused "/dev/vfio/$group.*chown"
chown user "/dev/vfio/$group"
ulimit -l 65536
refused "256 MiB .*pinned.* 64 MiB.*ulimit -l"
kib=$(sed -n 's/.*ulimit -l \([0-9]*\).*/\1/p' "$vm/errors")
ulimit -l unlimited
ulimit -S -l "$kib"
run
vm_expect "edu: 0 failures" 200
vm_exit 0
# The emulated device has no way of being reset.
vm_warned_only "the host cannot reset it"
# A balloon beside it would give pinned pages back.
vm_start --balloon reporting --device "$device"
vm_exit 35
grep -q "balloon: with a passed device" "$vm/errors" || fail "$(cat "$vm/errors")"
pass
