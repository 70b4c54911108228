#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: random bytes, a console each way at full speed, memory that a balloon and reports give back
# Needs: memory=2048 kernels=6.1 time=1200 guest_modules=virtio_pci,virtio_rng,virtio_console,virtio_balloon
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
bytes=${lab_bytes:-1048576}
resident_mib() { awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/$vm_pid/status"; }
resident_below() { [ "$(resident_mib)" -lt "$1" ]; }
arrived() { [ "$(wc -c </tmp/console.txt)" -ge "$bytes" ]; }
go_on() { echo >&3; }
no_complaint() {
    ! vm_said "devices: wrong" || fail "$(tr -d '\r' <"$vm/console" | grep 'devices: wrong' | head -5)"
}

# start WORDS OPTION...: a guest with its serial port here and its console on a socket.
start() {
    words=$1
    shift
    rm -f /tmp/input
    mkfifo /tmp/input
    exec 3<>/tmp/input # both ends, so that opening does not block
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" \
        --initrd "$kernels/6.1/extra" --console unix=/tmp/console.socket --log info "$@" --cmdline \
        "console=ttyS0 quiet panic=-1 job=rng-console-balloon words=$words bytes=$bytes mebibytes=256"
    await 60 test -S /tmp/console.socket || fail "--console unix: no socket after 60 s"
    unix_client /tmp/console.socket </tmp/input >/tmp/console.txt &
}

# finish: the guest has come to its end, and found nothing wrong.
finish() {
    vm_exit 0 300
    vm_said "guest: job rng-console-balloon done" || fail "the guest did not come to its end"
    no_complaint
    tr -d '\r' <"$vm/console" | grep '^devices: ' | while read -r line; do step "$line"; done
}

# --- random bytes, the console, and a balloon in private memory
start random,stream,balloon --memory 512M --rng --balloon 320M,statistics=1
vm_expect "devices: console is ready"
pattern 1 "$bytes" >&3
sum=$(pattern 1 "$bytes" | md5sum)
vm_expect "devices: received [0-9a-f]\{32\}" 300
vm_said "devices: received ${sum%% *}" || fail "the guest received other bytes than were sent"
step "--console: $((bytes / 1024)) KiB into the guest arrived"
await 600 arrived || fail "$(wc -c </tmp/console.txt) of $bytes bytes came out"
vm_expect "devices: sent"
sum=$(pattern 2 "$bytes" | md5sum)
[ "$(md5sum </tmp/console.txt)" = "$sum" ] || fail "other bytes came out than the guest sent"
step "--console: $((bytes / 1024)) KiB out of the guest arrived"
vm_expect "devices: filled" 300
go_on
vm_expect "devices: freed"
before=$(resident_mib)
[ "$before" -ge 280 ] || fail "$before MiB resident after 256 were filled"
go_on
vm_expect "devices: inflated"
await 60 resident_below $((before - 128)) ||
    fail "a balloon of 320 MiB: $(resident_mib) MiB resident, $before before"
step "--balloon: $(resident_mib) MiB resident, $before before it was inflated"
balloon_reported() { grep -q "balloon: 320 MiB; of [0-9]* MiB the guest has" "$vm/errors"; }
await 30 balloon_reported || fail "no report of the guest: $(grep balloon "$vm/errors" | tail -n 2)"
step "--balloon statistics: $(sed -n 's/.*balloon: //p' "$vm/errors" | tail -n 1)"
go_on
finish

# --- reports of free pages, in memory that others can map
start report --memory 512M,shared --balloon reporting
vm_expect "devices: filled" 300
before=$(resident_mib)
[ "$before" -ge 280 ] || fail "$before MiB resident after 256 were filled"
go_on
vm_expect "devices: freed"
await 120 resident_below $((before - 200)) ||
    fail "256 MiB are free and reported: $(resident_mib) MiB resident, $before before"
step "--balloon reporting: $(resident_mib) MiB resident, $before before 256 were freed"
go_on
vm_expect "memory_check: PASS" 300
finish
pass
