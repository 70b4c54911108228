#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: 1 MiB goes through the serial port each way without a byte lost or changed
# Needs: memory=2048 kernels=6.1 time=1500
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

# Each byte is two exits and more, at tens of microseconds in emulation; the peer needs many more.
case ${lab_vmm:-cxlvm} in
    cxlvm) bytes=${lab_bytes:-1048576} ;;
    *) bytes=${lab_bytes:-65536} ;;
esac
mkfifo /tmp/input
exec 3<>/tmp/input # both ends, so that opening does not block
# shellcheck disable=SC2034  # read by vm_start
vm_input=/tmp/input vm_quiet=1
vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --cpus 1 --memory 256M \
    --cmdline "console=ttyS0 quiet panic=-1 job=console bytes=$bytes"
vm_expect "guest: ready"
# In blocks that Linux's own terminal buffers can hold: a serial line without flow control may lose
# what nobody reads, and that would not be the VMM's doing.
pattern 1 "$bytes" >/tmp/sent
block=0
while [ "$block" -lt $((bytes / 16384)) ]; do
    dd if=/tmp/sent bs=16384 skip="$block" count=1 2>/dev/null >&3
    block=$((block + 1))
    vm_expect "guest: block $block of"
    [ $((block % 16)) != 0 ] || step "$((block * 16)) KiB sent"
done
sum=$(md5sum </tmp/sent)
vm_expect "guest: received [0-9a-f]\{32\}"
vm_said "guest: received ${sum%% *}" || fail "the guest received other bytes than were sent"
step "$((bytes / 1024)) KiB into the guest arrived"
vm_exit 0 900

# What follows the line "received" are the guest's bytes, then its line "sent".
line=$(grep -an "guest: received" "$vm/console" | head -n 1)
tail -n "+$((${line%%:*} + 1))" "$vm/console" >/tmp/got
sum=$(pattern 2 "$bytes" | md5sum)
got=$(head -c "$bytes" /tmp/got | md5sum)
[ "$got" = "$sum" ] || fail "other bytes came out than the guest sent"
tail -c "+$((bytes + 1))" /tmp/got | head -n 1 | grep -q "^guest: sent" ||
    fail "bytes too many or too few came out"
step "$((bytes / 1024)) KiB out of the guest arrived"
pass
