#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: a stock Debian 6.1 bzImage reaches userspace on one CPU and powers off
# Needs: memory=1536 kernels=6.1
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

# shellcheck disable=SC2034  # read by vm_start
vmm_options=--summary
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --cpus 1 --memory 256M \
    --cmdline "console=ttyS0 quiet panic=-1"
vm_expect "guest: userspace of Linux 6.1"
step "userspace reached"
vm_expect "guest: job poweroff done"
vm_exit 0
step "powered off, exit code $vm_status"
pass
