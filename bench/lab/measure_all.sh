#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in the outer machine: measures cxlvm and Debian's QEMU in turns, and then cxlvm's parts, and
# says "value NAME NUMBER" for each measurement, with the names that measure gives behind the variant's.
# shellcheck source-path=SCRIPTDIR/../../tests/lab/outer source=lib.sh
. /lab/lib.sh
# shellcheck source=/dev/null
. /lab/bench/settings.sh

# The files of both VMMs, and the cache, on a file system that is read as those on disks are: the
# outer machine's root is a tmpfs, which goes page by page.
files=/run/files
mkdir -p "$files"
mount -t ramfs none "$files"
cp "$kernels/6.1/bzImage" "$kernels/6.1/vmlinux" /lab/bench/initrd "$files/"
export XDG_CACHE_HOME=$files/cache
mkdir "$XDG_CACHE_HOME"

# run VARIANT KIND: one run of one variant.
run() {
    case $1 in
        qemu) lab_vmm=qemu ;;
        *) lab_vmm=cxlvm ;;
    esac
    case $1 in
        cxlvm_vmlinux) image=vmlinux ;;
        *) image=bzImage ;;
    esac
    case $1 in
        cxlvm_cold) rm -rf "$XDG_CACHE_HOME" ;;
    esac
    vmm_prefix="measure $2 first-line-of-userspace"
    if ! (vmm --kernel "$files/$image" --initrd "$files/initrd" --cpus 1 --memory 256M \
        --cmdline "console=ttyS0 panic=-1 reboot=t quiet") >/tmp/values 2>/tmp/errors; then
        tail -n 20 /tmp/values /tmp/errors | tr -cd '\11\12\40-\176' | sed 's/^/    /' >/dev/ttyS1
        fail "$1: the run that measures $2 failed"
    fi
    while read -r name number; do
        echo "value $1_$name $number"
    done </tmp/values
}

# part PREFIX KIND FILTER PROGRAM: one run of a Google Benchmark program; PREFIX and KIND are those of
# google_benchmark.awk. A hundredth of a second is ten million instructions.
part() {
    if ! "$4" --benchmark_filter="$3" --benchmark_min_time=0.01 --benchmark_format=json \
        >/tmp/json 2>/tmp/errors ||
        ! awk -v prefix="$1" -v kind="$2" -f /lab/bench/google_benchmark.awk /tmp/json >/tmp/values; then
        tail -n 20 /tmp/values /tmp/errors | tr -cd '\11\12\40-\176' | sed 's/^/    /' >/dev/ttyS1
        fail "$4 failed"
    fi
    sed 's/^/value /' /tmp/values
}

# Fills the cache, and the page cache of everything that the runs read.
for variant in ${variants:?}; do
    step "warming up: $variant"
    run "$variant" time >/dev/null
done
for kind in time memory entry; do
    round=0
    while [ "$round" -lt "${rounds:?}" ]; do
        round=$((round + 1))
        step "$kind: round $round of $rounds"
        for variant in $variants; do
            # Where the kernel comes from matters to the time alone.
            case $kind/$variant in
                time/* | */qemu | */cxlvm_warm) run "$variant" "$kind" >/dev/ttyS1 ;;
            esac
        done
        # A cold run leaves the cache filled, so that the next warm one is warm.
    done
done
case $variants in
    *cxlvm*)
        round=0
        while [ "$round" -lt "$rounds" ]; do
            round=$((round + 1))
            step "parts: round $round of $rounds"
            part event_loop ops_per_s '^(eventfd_read|eventfd_reads_batched/256|timeout.*|post.*)$' \
                event_loop_bench >/dev/ttyS1
            part address_space ns '^lookup(_same)?/64(/threads:1)?$' address_space_bench >/dev/ttyS1
            part exit ns . exit_bench >/dev/ttyS1
        done
        ;;
esac
pass
