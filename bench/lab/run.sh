#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The peer bench: how long cxlvm and Debian's QEMU microvm take from their exec to the first line of
# the guest's userspace and to the end, and what single parts of cxlvm take, counted in instructions in
# the nested lab; and, when asked for, what their disks and networks do. Exits with 1 when a limit is exceeded. See
# README.md.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CXLVM_SOURCE_DIR=$(cd "$here/../.." && pwd)
CXLVM_BUILD_DIR=${CXLVM_BUILD_DIR:-$CXLVM_SOURCE_DIR/build}
mkdir -p "$CXLVM_BUILD_DIR"
CXLVM_BUILD_DIR=$(cd "$CXLVM_BUILD_DIR" && pwd)
lib=$CXLVM_SOURCE_DIR/tests/lab/lib
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/packages.sh
source "$lib/packages.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/kernels.sh
source "$lib/kernels.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/initramfs.sh
source "$lib/initramfs.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/emulator.sh
source "$lib/emulator.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/outer.sh
source "$lib/outer.sh"
# shellcheck source-path=SCRIPTDIR source=figures.sh
source "$here/figures.sh"
# shellcheck source-path=SCRIPTDIR source=fio.sh
source "$here/fio.sh"

what=boot rounds=3 peer_only='' no_limits='' clock=''
# Of each of fio's jobs: at random, and in sequence.
operations=800 transfers=24
# Of net_load's jobs: of each kind of request, and of each stream.
requests=2000 mebibytes=64
while (($# > 0)); do
    case $1 in
        boot | disk | net) what=$1 ;;
        --rounds) rounds=${2:?--rounds needs a number} && shift ;;
        --clock) clock=${2:?--clock needs icount or plain} && shift ;; # of disk and net
        --peer-only) peer_only=1 ;; # proves the bench itself
        --no-limits) no_limits=1 ;; # exits with 0 though a limit is exceeded
        *)
            echo "usage: bench/lab/run.sh [boot|disk|net] [--rounds N] [--clock icount|plain]" \
                "[--peer-only] [--no-limits]" >&2
            exit 2
            ;;
    esac
    shift
done

# make_bench_guest FOLDER INIT
make_bench_guest() {
    put_busybox "$1" || return 1
    install -m 755 "$2" "$1/init"
}

# make_disk_guest FOLDER KERNEL
make_disk_guest() {
    make_bench_guest "$1" "$here/disk_guest.sh" && put_fio "$1" &&
        put_modules "$1" "$2" virtio_pci virtio_blk
}

# make_net_guest FOLDER KERNEL
make_net_guest() {
    make_bench_guest "$1" "$here/net_guest.sh" &&
        static_program "$here/net_load.cpp" "$1/bin/net_load" &&
        put_modules "$1" "$2" virtio_pci virtio_net
}

# The benchmarks of single parts, which run in the outer machine too. As shared programs of the release
# preset: Debian has no archive of Google Benchmark to link a static one with.
part_benches=(event_loop_bench address_space_bench exit_bench)

# build_part_benches: prints the folder that they are in, brought up to date.
build_part_benches() {
    local folder=$CXLVM_BUILD_DIR/bench/release log=$CXLVM_BUILD_DIR/lab/logs/part-benches.log
    need_packages "to build the benches" cmake ninja-build g++ libbenchmark-dev || return 1
    outer_say "building the benches in $folder"
    (
        exec 9>"$CXLVM_BUILD_DIR/lab/part-benches.lock"
        flock 9
        cmake -S "$CXLVM_SOURCE_DIR" --preset release -B "$folder" -D CXLVM_TESTS=OFF \
            -D CXLVM_BENCH=ON &&
            cmake --build "$folder" --target "${part_benches[@]}"
    ) >"$log" 2>&1 || {
        outer_say "the build of the benches failed: $log"
        return 1
    }
    echo "$folder/bench"
}

# put_with_libraries FOLDER PROGRAM...: the programs into bin, and what ldd says that they need.
put_with_libraries() {
    local file
    install -s -m 755 "${@:2}" "$1/bin/" || return 1
    while read -r file; do
        mkdir -p "$1$(dirname "$file")"
        cp -L "$file" "$1$file" || return 1
    done < <(ldd "${@:2}" | grep -oE '/[^ ]+ \(' | sed 's/ ($//' | sort -u)
}

# put_settings NAME=VALUE...: for the script in the outer machine, with the number of rounds.
put_settings() {
    printf "%s\n" "rounds=$rounds" "$@" >"$payload/lab/bench/settings.sh"
}

# Boots and parts: fills the payload.
prepare_boot() {
    local variants="qemu cxlvm_warm cxlvm_vmlinux cxlvm_cold" folder
    clock=icount memory=3072
    if [[ -n $peer_only ]]; then
        variants=qemu
    else
        folder=$(build_part_benches)
        put_with_libraries "$payload" "${part_benches[@]/#/$folder/}"
        cp "$here/google_benchmark.awk" "$payload/lab/bench/"
    fi
    static_program "$here/measure.cpp" "$payload/bin/measure"
    cp "$here/measure_all.sh" "$payload/lab/scenario.sh"
    initrd=$(cached_part guest-bench "$(busybox | head -1) $(sum_of "$here/guest_init")" \
        make_bench_guest "$here/guest_init")
    put_settings "variants='$variants'"
}

# put_turns WHAT: what disks and networks are measured with.
put_turns() {
    static_program "$here/phases.cpp" "$payload/bin/phases"
    cp "$here/turns.sh" "$payload/lab/bench/"
    cp "$here/$1_all.sh" "$payload/lab/scenario.sh"
}

# Disks: the same.
prepare_disk() {
    local variants="qemu cxlvm qemu_direct cxlvm_direct" kernel
    : "${clock:=plain}"
    memory=4096
    if [[ -n $peer_only ]]; then
        variants="qemu qemu_direct"
    fi
    put_turns disk
    kernel=$(lab_kernel 6.1)
    initrd=$(cached_part guest-disk-bench "$kernel $(busybox | head -1) $(fio --version) \
        $(sum_of "$here"/{disk_guest,fio}.sh)" make_disk_guest "$kernel")
    # shellcheck disable=SC2034
    outer_modules=null_blk outer_programs=mkfs.ext4
    put_settings "variants='$variants'" operations="$operations" transfers="$transfers"
}

# Networks: the same.
prepare_net() {
    local variants="qemu cxlvm qemu_vhost cxlvm_vhost" kernel
    : "${clock:=plain}"
    memory=3072
    if [[ -n $peer_only ]]; then
        variants="qemu qemu_vhost"
    fi
    put_turns net
    static_program "$here/net_load.cpp" "$payload/bin/net_load"
    kernel=$(lab_kernel 6.1)
    initrd=$(cached_part guest-net-bench "$kernel $(busybox | head -1) \
        $(sum_of "$here"/net_{guest.sh,load.cpp})" make_net_guest "$kernel")
    # shellcheck disable=SC2034
    outer_modules=tun,vhost_net
    put_settings "variants='$variants'" requests="$requests" mebibytes="$mebibytes"
}

# answer_clock: tells the outer machine, whenever it asks, the processor time that its emulator has
# taken, in nanoseconds: a clock that stands still while the host is busy with something else.
answer_clock() {
    local line pid # tail ends with this script
    tail -n +1 -s 0.2 --pid=$$ -F "$outer_work/steps.log" 2>/dev/null | while read -r line; do
        [[ $line == "clock?" ]] || continue
        pid=$(pgrep -f -- "-kernel $outer_work/vmlinuz") || continue
        cat "/proc/$pid/task/"*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }' \
            >"$outer_work/nudge"
    done
}

# run_machine: the outer machine's logs are in the folder $logs afterwards.
run_machine() {
    logs=$CXLVM_BUILD_DIR/lab/logs/bench
    [[ $what == boot ]] || logs+=-$what
    with_icount=
    [[ $clock != icount ]] || with_icount=1
    mkdir -p "$logs"
    outer_say "measuring; rounds: $rounds"
    answer_clock &
    clock_pid=$!
    if ! outer_run $((600 + 300 * rounds)) "$memory" "lab_silent=1"; then
        outer_say "timeout; what there was:"
    fi
    kill "$clock_pid"
    cp "$outer_work"/{console,steps,qemu}.log "$logs/"
    if ! grep -q '^verdict: PASS' "$logs/steps.log"; then
        # Only what there is to show; the bench has failed whether there is any of it or not.
        grep -E '^(    |verdict)' "$logs/steps.log" >&2 || true
        outer_say "the bench failed; the whole consoles: $logs"
        exit 1
    fi
}

outer_begin
payload=$outer_work/payload
mkdir -p "$payload/lab/bench" "$payload/bin"
binary=''
if [[ -z $peer_only ]]; then
    binary=$(cxlvm_binary)
    strip -o "$payload/bin/cxlvm" "$binary"
fi
"prepare_$what"
cp "$initrd" "$payload/lab/bench/initrd"
with_qemu=1
outer_image 6.1 "$payload" 6.1
run_machine
result=lab limit_file=$here/limits
[[ $what == boot ]] || result=$what limit_file=$here/${what}_limits
lines=$({
    cat "$logs/steps.log"
    if [[ $what == boot && -n $binary ]]; then
        echo "value cxlvm_binary_bytes $(stat -c %s "$payload/bin/cxlvm")"
    fi
} | statistics)
verdicts=
if [[ -n $binary ]]; then verdicts=$(limits "$lines" "$limit_file"); fi
revision=$(git -C "$CXLVM_SOURCE_DIR" rev-parse HEAD 2>/dev/null || echo unknown)
mkdir -p "$CXLVM_BUILD_DIR/bench"
table "$lines" "$verdicts" "$clock" | tee "$CXLVM_BUILD_DIR/bench/$result.txt"
json "$lines" "$verdicts" "$revision" "$(basename "$(lab_kernel 6.1)")" "$clock" \
    >"$CXLVM_BUILD_DIR/bench/$result.json"
echo
echo "table: $CXLVM_BUILD_DIR/bench/$result.txt"
echo "JSON:  $CXLVM_BUILD_DIR/bench/$result.json"
if grep -q ' MISSING$' <<<"$verdicts"; then
    outer_say "figures with a limit were not measured"
    exit 1
fi
if grep -q ' EXCEEDED$' <<<"$verdicts"; then
    outer_say "limits are exceeded ($limit_file; --no-limits makes this no failure)"
    [[ -n $no_limits ]] || exit 1
fi
