#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The peer bench: how long cxlvm and Debian's QEMU microvm take from their exec to the first line of
# the guest's userspace and to the end, and what single parts of cxlvm take, counted in instructions in
# the nested lab. Exits with 1 when a limit is exceeded. See README.md.
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

rounds=3
variants="qemu cxlvm_warm cxlvm_vmlinux cxlvm_cold"
no_limits=
while (($# > 0)); do
    case $1 in
        --rounds) rounds=${2:?--rounds needs a number} && shift ;;
        --peer-only) variants=qemu ;; # proves the bench itself
        --no-limits) no_limits=1 ;;    # exits with 0 though a limit is exceeded
        *)
            echo "usage: bench/lab/run.sh [--rounds N] [--peer-only] [--no-limits]" >&2
            exit 2
            ;;
    esac
    shift
done

make_bench_guest() {
    put_busybox "$1" || return 1
    install -m 755 "$here/guest_init" "$1/init"
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

outer_begin
payload=$outer_work/payload
mkdir -p "$payload/lab/bench" "$payload/bin"
binary=''
if [[ $variants != qemu ]]; then
    binary=$(cxlvm_binary)
    strip -o "$payload/bin/cxlvm" "$binary"
    folder=$(build_part_benches)
    put_with_libraries "$payload" "${part_benches[@]/#/$folder/}"
    cp "$here/google_benchmark.awk" "$payload/lab/bench/"
fi
static_program "$here/measure.cpp" "$payload/bin/measure"
cp "$here/measure_all.sh" "$payload/lab/scenario.sh"
printf 'rounds=%q\nvariants=%q\n' "$rounds" "$variants" >"$payload/lab/bench/settings.sh"
initrd=$(cached_part guest-bench "$(busybox | head -1) $(sum_of "$here/guest_init")" \
    make_bench_guest)
cp "$initrd" "$payload/lab/bench/initrd"
with_qemu=1 with_icount=1
outer_image 6.1 "$payload" 6.1
outer_say "measuring; $((rounds + 1)) rounds of: $variants"
if ! outer_run $((600 + 300 * rounds)) 3072 "lab_silent=1"; then
    outer_say "timeout; what there was:"
fi
logs=$CXLVM_BUILD_DIR/lab/logs/bench
mkdir -p "$logs"
cp "$outer_work"/{console,steps,qemu}.log "$logs/"
if ! grep -q '^verdict: PASS' "$logs/steps.log"; then
    # Only what there is to show; the bench has failed whether there is any of it or not.
    grep -E '^(    |verdict)' "$logs/steps.log" >&2 || true
    outer_say "the bench failed; the whole consoles: $logs"
    exit 1
fi
lines=$({
    cat "$logs/steps.log"
    if [[ -n $binary ]]; then echo "value cxlvm_binary_bytes $(stat -c %s "$payload/bin/cxlvm")"; fi
} | statistics)
verdicts=
if [[ -n $binary ]]; then verdicts=$(limits "$lines" "$here/limits"); fi
revision=$(git -C "$CXLVM_SOURCE_DIR" rev-parse HEAD 2>/dev/null || echo unknown)
mkdir -p "$CXLVM_BUILD_DIR/bench"
table "$lines" "$verdicts" | tee "$CXLVM_BUILD_DIR/bench/lab.txt"
json "$lines" "$verdicts" "$revision" "$(basename "$(lab_kernel 6.1)")" \
    >"$CXLVM_BUILD_DIR/bench/lab.json"
echo
echo "table: $CXLVM_BUILD_DIR/bench/lab.txt"
echo "JSON:  $CXLVM_BUILD_DIR/bench/lab.json"
if grep -q ' MISSING$' <<<"$verdicts"; then
    outer_say "figures with a limit were not measured"
    exit 1
fi
if grep -q ' EXCEEDED$' <<<"$verdicts"; then
    outer_say "limits are exceeded (bench/lab/limits; --no-limits makes this no failure)"
    [[ -n $no_limits ]] || exit 1
fi
