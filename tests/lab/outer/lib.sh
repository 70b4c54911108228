# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# What a scenario uses inside the outer machine; run by busybox's sh. A scenario sources this first,
# and ends with pass or fail.
set -u

vms=/run/vms # one folder of logs for each virtual machine of the scenario
vm_count=0
vm_pid=
vm_tail=
vm_output=
# shellcheck disable=SC2034  # for the scenarios
kernels=/lab/kernels
mkdir -p "$vms"

step() { echo "step: $*" >/dev/ttyS1; }

pass() {
    echo "verdict: PASS" >/dev/ttyS1
    sync
    poweroff -f
    sleep 60
}

# fail WHY: shows the last lines of the virtual machine's console and of its VMM, and ends.
fail() {
    if [ -n "$vm_pid" ]; then
        for file in "$vm_output" "$vm/errors"; do
            tail -n 15 "$file" | tr -cd '\11\12\40-\176' | cut -c1-160 |
                sed "s/^/    ${file##*/}: /" >/dev/ttyS1
        done
    fi
    echo "verdict: FAIL: $*" >/dev/ttyS1
    sync
    poweroff -f
    sleep 60
}

# vmm OPTION...: becomes a VMM that runs a guest; the options are those of `cxlvm run`. The one
# place that knows how a VMM is called: lab_vmm on the kernel command line names another one.
# vmm_prefix, when set, is a program that runs it; vmm_options are more options for cxlvm alone.
vmm() {
    # shellcheck disable=SC2086  # words, or nothing
    case ${lab_vmm:-cxlvm} in
        cxlvm) exec ${vmm_prefix:-} cxlvm run ${vmm_options:-} "$@" ;;
        qemu) vmm_qemu "$@" ;;
    esac
    fail "no VMM called $lab_vmm"
}

# The same guest in Debian's QEMU: tells whether a failure is the lab's or ours.
vmm_qemu() {
    q_kernel='' q_initrd='' q_cmdline='' q_cpus=1 q_memory=256M q_serial=stdio q_pcie='' q_disk='' q_net=''
    while [ $# -gt 0 ]; do
        case $1 in
            --kernel) q_kernel=$2 ;;
            --initrd) q_initrd=$2 ;;
            --cmdline) q_cmdline=$2 ;;
            --cpus) q_cpus=$2 ;;
            --memory) q_memory=$2 ;;
            --serial) q_serial=$2 ;;
            --disk) vmm_qemu_disk "$2" ;;
            --net) vmm_qemu_net "$2" ;;
            *) fail "the peer knows no $1" ;;
        esac
        shift 2
    done
    case $q_serial in
        file=*) q_serial=file:${q_serial#file=} ;;
    esac
    # shellcheck disable=SC2086
    exec ${vmm_prefix:-} qemu-system-x86_64 \
        -M microvm,x-option-roms=off,rtc=on,auto-kernel-cmdline=off$q_pcie -enable-kvm $q_disk $q_net \
        -cpu host -smp "$q_cpus" -m "$q_memory" -nodefaults -no-user-config -display none \
        -serial "$q_serial" -no-reboot -L /usr/share/qemu \
        -kernel "$q_kernel" -initrd "$q_initrd" -append "$q_cmdline"
}

# vmm_qemu_disk PATH[,direct]: as near to cxlvm's disk as it gets: io_uring on a thread of its own.
vmm_qemu_disk() {
    q_pcie=,pcie=on
    q_cache=cache.direct=off
    case $1 in
        *,direct) q_cache=cache.direct=on ;;
    esac
    q_disk="-object iothread,id=disk-thread
        -blockdev driver=file,filename=${1%,direct},node-name=file,aio=io_uring,$q_cache
        -blockdev driver=raw,file=file,node-name=disk,$q_cache
        -device virtio-blk-pci,drive=disk,iothread=disk-thread,num-queues=1,disable-legacy=on"
}

# vmm_qemu_net tap=NAME[,vhost]
vmm_qemu_net() {
    q_pcie=,pcie=on
    q_tap=${1%,vhost} q_vhost=off
    case $1 in
        *,vhost) q_vhost=on ;;
    esac
    q_net="-netdev tap,id=network,ifname=${q_tap#tap=},script=no,downscript=no,vhost=$q_vhost
        -device virtio-net-pci,netdev=network,disable-legacy=on,romfile="
}

# vm_start OPTION...: starts a VMM whose console goes to $vm/console, with input from $vm_input
# (default: nothing). The consoles are copied to ours as they come, unless vm_quiet is set. A scenario
# that sends the guest's output elsewhere, with --serial, names that file in vm_output afterwards.
vm_start() {
    vm_count=$((vm_count + 1))
    vm=$vms/$vm_count
    mkdir -p "$vm"
    : >"$vm/console"
    : >"$vm/errors"
    vm_output=$vm/console
    echo "--- virtual machine $vm_count: $*"
    if [ -z "${vm_quiet:-}" ]; then
        tail -f -n +1 "$vm/console" "$vm/errors" 2>/dev/null &
        vm_tail=$!
    fi
    (vmm "$@") <"${vm_input:-/dev/null}" >"$vm/console" 2>"$vm/errors" &
    vm_pid=$!
}

# bind_to_vfio ADDRESS: by the commands that the message names which says that it is not bound.
bind_to_vfio() {
    vm_start --device "$1"
    vm_exit 1
    bind_commands=$(sed -n 's/.*bind it: //p' "$vm/errors")
    [ -n "$bind_commands" ] || fail "no commands to bind it: $(cat "$vm/errors")"
    step "$bind_commands"
    sh -c "$bind_commands" || fail "the commands do not work"
}

# Seconds since the outer machine started.
uptime_seconds() {
    read -r uptime _ </proc/uptime
    echo "${uptime%.*}"
}

# await SECONDS COMMAND...: until the command succeeds.
await() {
    await_end=$(($(uptime_seconds) + $1))
    shift
    until "$@"; do
        [ "$(uptime_seconds)" -lt "$await_end" ] || return 1
        sleep 0.1
    done
}

vm_ended() { ! running "$vm_pid"; }

# running PID: a process that has ended and was not waited for does not count.
running() { [ -e "/proc/$1" ] && ! grep -q '^State:.[ZX]' "/proc/$1/status" 2>/dev/null; }

# The file may not be there yet.
vm_said() { grep -aqs "$1" "$vm_output"; }
vm_said_or_ended() { vm_said "$1" || vm_ended; }

# vm_expect PATTERN [SECONDS]: the guest prints a line that matches.
vm_expect() {
    await "${2:-120}" vm_said_or_ended "$1" || fail "no line '$1' after ${2:-120} s"
    vm_said "$1" || fail "the virtual machine ended without the line '$1'"
}

# vm_warned_only PATTERN: the VMM has said what matches, once, and nothing else.
vm_warned_only() {
    { [ "$(wc -l <"$vm/errors")" = 1 ] && grep -q "$1" "$vm/errors"; } ||
        fail "not one line of '$1': $(head -n 3 "$vm/errors")"
}

# vm_exit STATUS [SECONDS]: the VMM ends with that exit code. QEMU has no codes for how a guest
# ended, so they are not compared there.
vm_exit() {
    await "${2:-120}" vm_ended || fail "still running ${2:-120} s later, exit code $1 expected"
    wait "$vm_pid"
    vm_status=$?
    if [ -n "$vm_tail" ]; then
        sleep 1.1 # its polling interval
        kill "$vm_tail"
        vm_tail=
    fi
    [ "${lab_vmm:-cxlvm}" = cxlvm ] || return 0
    [ "$vm_status" = "$1" ] || fail "exit code $vm_status, not $1"
}
