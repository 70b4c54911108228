#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: the newest 7.x kernel boots, as a bzImage and as the vmlinux inside it
# Needs: memory=2048 kernels=7 time=300
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

for image in bzImage vmlinux; do
    vm_start --kernel "$kernels/7/$image" --initrd "$kernels/7/initrd" --cpus 1 --memory 512M \
        --cmdline "console=ttyS0 quiet panic=-1"
    vm_expect "guest: userspace of Linux"
    step "$image: $(grep -ao 'Linux [^,]*' "$vm/console")"
    vm_exit 0
done
pass
