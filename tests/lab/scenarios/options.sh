#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Purpose: ways to boot, kinds of memory and serial ports, pidfile, configuration, shutdown timeout
# Needs: memory=2048 kernels=6.1 time=600
# shellcheck source-path=SCRIPTDIR source=../outer/lib.sh
. /lab/lib.sh

[ "${lab_vmm:-cxlvm}" = cxlvm ] || fail "another VMM has other options"
guest_kernel=$kernels/6.1 words="console=ttyS0 quiet panic=-1"

# expect WHAT SEEN EXPECTED
expect() { [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"; }
gone() { [ ! -e "$1" ] && [ ! -L "$1" ]; }
expect_gone() { gone "$1" || fail "$1 is still there after the end: $(ls -l "$1")"; }
errors_say() { grep -aq "$1" "$vm/errors"; }
expect_errors() { await 60 errors_say "$1" || fail "no line '$1' on standard error"; }
# Memory of the VMM that is in RAM, huge pages of the pool excepted.
resident_mib() { awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/$vm_pid/status"; }
pool() { awk -v name="HugePages_$1:" '$1 == name { print $2 }' /proc/meminfo; }
# say LINE: to the guest's shell. Its echo of the line must not look like the answer to it.
say() { printf '%s\n' "$1" >&3; }
open_input() {
    rm -f /tmp/input
    mkfifo /tmp/input
    exec 3<>/tmp/input # both ends, so that opening does not block
}

# --- the kernel unpacks itself; output to a file; the file of the process id
vm_start --kernel "$guest_kernel/bzImage" --boot bzimage --initrd "$guest_kernel/initrd" --memory 192M \
    --serial file=/tmp/serial.txt --pidfile /tmp/vm.pid --log info --cmdline "$words"
vm_output=/tmp/serial.txt
vm_expect "guest: userspace"
expect_errors "bzImage (lz4), 1 vCPUs, 192 MiB"
expect "--pidfile" "$(cat /tmp/vm.pid)" "$vm_pid"
resident=$(resident_mib)
[ "$resident" -lt 192 ] || fail "192 MiB without prefault: $resident MiB resident, expected less"
vm_exit 0
step "--boot bzimage: the kernel unpacked itself; $resident of 192 MiB resident"
vm_said "guest: job poweroff done" || fail "--serial file: the last line is not in the file"
[ ! -s "$vm/console" ] || fail "--serial file: bytes on standard output: $(head -c 80 "$vm/console")"
step "--serial file: $(wc -c </tmp/serial.txt) bytes in the file, none elsewhere"
expect_gone /tmp/vm.pid
step "--pidfile: $vm_pid, gone at the end"

# --- PVH; output and input through a unix socket
open_input
vm_start --kernel "$guest_kernel/vmlinux" --boot pvh --initrd "$guest_kernel/initrd" --memory 128M \
    --serial unix=/tmp/serial.socket --log info --cmdline "$words job=shell"
await 60 test -S /tmp/serial.socket || fail "--serial unix: no socket after 60 s"
unix_client /tmp/serial.socket </tmp/input >/tmp/socket.txt &
client=$!
vm_output=/tmp/socket.txt
vm_expect "guest: userspace"
expect_errors "PVH, 1 vCPUs, 128 MiB"
step "--boot pvh: $(grep -ao 'Linux [^,]*' /tmp/socket.txt)"
# shellcheck disable=SC2016  # the guest's shell computes it
say 'echo socket-$((6 * 7))'
vm_expect "socket-42"
say 'exit'
vm_exit 0
wait "$client" || fail "--serial unix: the client saw no orderly end"
vm_said "guest: job shell done" || fail "--serial unix: the last line did not arrive"
expect_gone /tmp/serial.socket
step "--serial unix: both ways, socket gone at the end"

# --- a pseudo-terminal; two initrds, the first of a size that needs padding before the second
open_input
mkdir /tmp/extra
echo "of two" >/tmp/extra/extra
(cd /tmp/extra && echo extra | cpio -o -H newc 2>/dev/null | gzip) >/tmp/extra.gz
[ $(($(wc -c </tmp/extra.gz) % 4)) != 0 ] || printf '\0' >>/tmp/extra.gz
vm_start --kernel "$guest_kernel/bzImage" --initrd /tmp/extra.gz --initrd "$guest_kernel/initrd" \
    --memory 128M --serial pty --log info --cmdline "$words job=shell"
expect_errors "^cxlvm: serial port: /dev/pts/"
terminal=$(sed -n 's/^cxlvm: serial port: //p' "$vm/errors")
cat "$terminal" >/tmp/terminal.txt &
cat /tmp/input >"$terminal" &
feeder=$!
vm_output=/tmp/terminal.txt
vm_expect "guest: userspace"
expect_errors "bzImage (lz4), unpacked, 1 vCPUs, 128 MiB"
# shellcheck disable=SC2016
say 'echo terminal-$((6 * 7))-$(cat /extra)'
vm_expect "terminal-42-of two"
step "two --initrd: files of both are there"
say 'exit'
vm_exit 0
await 10 vm_said "guest: job shell done" || fail "--serial pty: the last line did not arrive"
kill "$feeder" # it waits for more input
await 10 gone "$terminal" || fail "$terminal is still there after the end"
step "--serial pty: $terminal, both ways"

# --- a configuration that comes back as it went; no serial port; memory populated beforehand
set -- --kernel "$guest_kernel/bzImage" --initrd "$guest_kernel/initrd" --cpus 1 \
    --memory 128M,prefault --serial null --shutdown-timeout 7 --cmdline "$words reboot=k job=reset"
cxlvm run "$@" --dump-config >/tmp/first.json 2>/tmp/errors || fail "--dump-config: $(cat /tmp/errors)"
cxlvm run --config /tmp/first.json --dump-config >/tmp/second.json 2>/tmp/errors ||
    fail "--config: $(cat /tmp/errors)"
cmp /tmp/first.json /tmp/second.json 2>/tmp/errors || fail "--dump-config of --config: $(cat /tmp/errors)"
for word in bzImage initrd 128M prefault null '7' 'job=reset'; do
    grep -q "$word" /tmp/first.json || fail "--dump-config: no $word in $(tr -d '\n' </tmp/first.json)"
done
vm_start --config /tmp/first.json --log info
expect_errors "bzImage (lz4), unpacked, 1 vCPUs, 128 MiB"
resident=$(resident_mib)
[ "$resident" -ge 128 ] || fail "prefault: $resident MiB resident when the guest starts, expected 128"
step "--memory prefault: $resident MiB resident at the start"
vm_exit 32
step "--config: the VM of --dump-config, exit code 32 of its reset"
[ ! -s "$vm/console" ] || fail "--serial null: bytes on standard output: $(head -c 80 "$vm/console")"
step "--serial null: nothing comes out"

# --- huge pages of the host's pool
# Linux stops reserving early when the writer has a signal, such as of a child that ends.
reserve() {
    echo "$1" >/proc/sys/vm/nr_hugepages
    [ "$(pool Total) $(pool Free)" = "$1 $1" ]
}
await 20 reserve 64 || fail "the outer machine gave $(pool Total) huge pages, expected 64"
vm_start --kernel "$guest_kernel/bzImage" --initrd "$guest_kernel/initrd" \
    --memory 128M,hugepages=2M --cmdline "$words job=sleep"
vm_expect "guest: sleeping"
free=$(pool Free) reserved=$(pool Rsvd)
[ "$free" -lt 56 ] || fail "hugepages=2M: $free of 64 pages are free while the guest runs"
expect "hugepages=2M: pages free and reserved for nobody" $((free - reserved)) 0
kill -INT "$vm_pid"
vm_exit 0 30
expect "hugepages=2M: free and reserved pages after the end" "$(pool Free) $(pool Rsvd)" "64 0"
step "--memory hugepages=2M: $((64 - free)) pages were used, all are back"
vm_start --kernel "$guest_kernel/bzImage" --memory 130M,hugepages=2M
vm_exit 1
grep -q "nr_hugepages" "$vm/errors" || fail "65 huge pages of 64: no remedy in: $(cat "$vm/errors")"
expect "65 huge pages of 64: lines" "$(wc -l <"$vm/errors")" 1
step "--memory hugepages=2M refused: $(cat "$vm/errors")"
await 20 reserve 0 || fail "$(pool Total) huge pages stay reserved, expected 0"

# --- what a killed VMM leaves is taken over; a guest that does not mind the power button is ended
with_pidfile_and_socket() {
    vm_start --kernel "$guest_kernel/bzImage" --initrd "$guest_kernel/initrd" --memory 128M \
        --serial unix=/tmp/serial.socket --pidfile /tmp/vm.pid --log info --shutdown-timeout 2 \
        --summary --cmdline "$words job=sleep"
    expect_errors "1 vCPUs, 128 MiB"
}
with_pidfile_and_socket
kill -KILL "$vm_pid"
vm_exit 137 10
killed=$vm_pid
expect "--pidfile after kill -9" "$(cat /tmp/vm.pid)" "$killed"
[ -S /tmp/serial.socket ] || fail "no socket after kill -9: another process removed it"
with_pidfile_and_socket
errors_say "/tmp/vm.pid: taken over from process $killed" || fail "no word of the process that was killed"
expect "--pidfile taken over" "$(cat /tmp/vm.pid)" "$vm_pid"
unix_client /tmp/serial.socket </dev/null >/tmp/socket.txt &
vm_output=/tmp/socket.txt
vm_expect "guest: sleeping"
step "kill -9: the next VM takes the pidfile and the socket over"
kill -TERM "$vm_pid"
vm_exit 0 30
expect_gone /tmp/vm.pid
expect_gone /tmp/serial.socket
errors_say "ended, not powered off within 2 s of SIGTERM" || fail "no word of the shutdown timeout"
step "SIGTERM, and no answer: ended by the shutdown timeout, 0, nothing left"
pass
