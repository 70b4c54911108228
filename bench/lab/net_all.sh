#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in the outer machine: measures the networks of cxlvm and of Debian's QEMU in turns, and says
# "value NAME NUMBER" for each measurement.
# shellcheck source-path=SCRIPTDIR/../../tests/lab/outer source=lib.sh
. /lab/lib.sh
# shellcheck source-path=SCRIPTDIR source=turns.sh
. /lab/bench/turns.sh

# One tap that stays, so that both find the same.
mkdir -p /dev/net
tunctl -t vm0 >/dev/null || fail "no tap"
ip link set vm0 up
ip addr add 192.168.77.1/24 dev vm0
net_load serve 5000 &

# run VARIANT: one run of one variant.
run() {
    case $1 in
        qemu*) lab_vmm=qemu ;;
        *) lab_vmm=cxlvm ;;
    esac
    case $1 in
        *_vhost) net=tap=vm0,vhost ;;
        *) net=tap=vm0 ;;
    esac
    measure "$1" "guest: the network is measured" --net "$net" --kernel "$kernels/6.1/bzImage" \
        --initrd /lab/bench/initrd --cpus 1 --memory 256M \
        --cmdline "$words requests=${requests:?} mebibytes=${mebibytes:?}"
}

in_turns run
pass
