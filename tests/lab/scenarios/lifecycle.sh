#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: how guests and VMMs end: reset, panic, triple fault, SIGTERM once and twice, kill -9
# Needs: memory=2048 kernels=6.1 time=600
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM does not tell by its exit code how a guest ended"

# guest WORDS: boots with these words on its command line.
guest() {
    vm_start --kernel "$kernels/6.1/bzImage" --initrd "$kernels/6.1/initrd" --cpus 1 \
        --memory 256M --cmdline "console=ttyS0 quiet $*"
}

# Everything that a VMM could leave behind, but for the logs of this scenario, and what the kernel
# counts in a file system or as memory of nobody.
belongings() {
    find / -xdev ! -path "/proc*" ! -path "/root/.cache/*"
    find /tmp /run /dev/shm /dev/pts ! -path "$vms*"
    tail -n +2 /proc/sysvipc/shm
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -E '^(/bin/)?(cxlvm|qemu)' || true
    done
}
# With the lists of free pages that each CPU keeps: MemFree does not count them, and with transparent
# huge pages they grow to some ten MiB.
free_mib() {
    awk '/^MemFree/ { kib = $2 }
        /^ +cpu:/ { in_lists = 1 }
        in_lists && /^ +count:/ { kib += 4 * $2; in_lists = 0 }
        END { print int(kib / 1024) }' /proc/meminfo /proc/zoneinfo
}

guest panic=-1 job=reset
vm_exit 32
step "reset by the kernel's first choice: 32"
guest panic=-1 reboot=k job=reset
vm_exit 32
step "reset by the keyboard controller: 32"
guest panic=-1 reboot=t job=reset
vm_exit 33
step "triple fault: 33"
guest panic=0 job=panic
vm_exit 34
step "panic: 34"

guest panic=-1 job=button
vm_expect "guest: listening"
kill -TERM "$vm_pid"
vm_expect "guest: the power button was pressed"
vm_exit 0
step "SIGTERM: power button, clean shutdown, 0"

guest panic=-1 job=sleep
vm_expect "guest: sleeping"
kill -TERM "$vm_pid"
sleep 1
vm_ended && fail "the first SIGTERM ended a guest that does not mind the power button"
kill -TERM "$vm_pid"
vm_exit 0 10
step "SIGTERM twice: ended, 0"

kill_a_guest() {
    guest panic=-1 job=sleep
    vm_expect "guest: sleeping"
    kill -KILL "$vm_pid"
    vm_exit 137 10
}
# The first one fills the outer kernel's caches, which are nothing that the VMM left.
kill_a_guest
sleep 2
belongings >"$vms/before"
free=$(free_mib)
cat /proc/meminfo >"$vms/memory_before"
kill_a_guest
belongings >"$vms/after"
diff "$vms/before" "$vms/after" >"$vms/left" || fail "kill -9 left: $(head -3 "$vms/left")"
memory_is_back() { [ "$(free_mib)" -ge $((free - 32)) ]; }
# Which memory: what the kernel counts otherwise than before, as "name:before->after" in KiB.
memory_left() {
    awk 'NR == FNR { before[$1] = $2; next }
        (d = $2 - before[$1]) > 4096 || d < -4096 { printf " %s%d->%d", $1, before[$1], $2 }' \
        "$vms/memory_before" /proc/meminfo
}
await 10 memory_is_back || fail "kill -9 left memory: $free MiB were free;$(memory_left)"
step "kill -9: no process, file, segment or memory left"
pass
