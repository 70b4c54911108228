#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: four CPUs come online, do work of their own and wake one another
# Needs: memory=2048 kernels=6.1 time=300
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --cpus 4 --memory 512M \
    --cmdline "console=ttyS0 quiet panic=-1 job=smp cpus=4"
vm_expect "guest: 4 processors, online 0-3"
step "four CPUs online"
for cpu in 0 1 2 3; do
    vm_expect "cpu_work: cpu $cpu: did its share"
done
vm_expect "cpu_work: PASS: 4 CPUs"
step "each did its share of work and woke the next"
vm_exit 0
pass
