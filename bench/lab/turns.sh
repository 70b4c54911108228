# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# Measures in the outer machine what guests do, in turns with cxlvm and with Debian's QEMU. To be
# sourced after lib.sh; takes variants and rounds from settings.sh.
# shellcheck source=/dev/null
. /lab/bench/settings.sh

mount -t debugfs none /sys/kernel/debug
# shellcheck disable=SC2034 # for those who measure
words="console=ttyS0 panic=-1 reboot=t quiet"

# measure VARIANT LINE OPTION...: one run of the VMM that lab_vmm names, whose guest says LINE when it
# has done its jobs. Says the values of each.
measure() {
    variant=$1 line=$2
    shift 2
    # For vmm.
    # shellcheck disable=SC2034
    vmm_prefix=phases
    if ! (vmm "$@") >/tmp/values 2>/tmp/errors || ! grep -q "$line" /tmp/errors; then
        tail -n 20 /tmp/values /tmp/errors | tr -cd '\11\12\40-\176' | sed 's/^/    /' >/dev/ttyS1
        fail "$variant: the run failed"
    fi
    grep -v '^warm_up_' /tmp/values | sed "s/^/value ${variant}_/" >/dev/ttyS1
}

# in_turns FUNCTION: calls it with each variant in each round; every other round in the opposite order,
# so that what drifts meets all of them alike.
in_turns() {
    order=${variants:?} round=0
    while [ "$round" -lt "${rounds:?}" ]; do
        round=$((round + 1))
        reversed=
        for variant in $order; do
            step "round $round of $rounds: $variant"
            "$1" "$variant"
            reversed="$variant $reversed"
        done
        order=$reversed
    done
}
