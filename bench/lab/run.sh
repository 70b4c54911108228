#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The peer bench: how long cxlvm and Debian's QEMU microvm take from their exec to the first line of
# the guest's userspace and to the end, counted in instructions in the nested lab. See README.md.
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
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/emulator.sh
source "$lib/emulator.sh"
# shellcheck source-path=SCRIPTDIR source=../../tests/lab/lib/outer.sh
source "$lib/outer.sh"

rounds=3
variants="qemu cxlvm_warm cxlvm_vmlinux cxlvm_cold"
while (($# > 0)); do
    case $1 in
        --rounds) rounds=${2:?--rounds needs a number} && shift ;;
        --peer-only) variants=qemu ;; # proves the bench itself
        *)
            echo "usage: bench/lab/run.sh [--rounds N] [--peer-only]" >&2
            exit 2
            ;;
    esac
    shift
done

make_bench_guest() {
    put_busybox "$1" || return 1
    install -m 755 "$here/guest_init" "$1/init"
}

# statistics: reads "value NAME NUMBER" lines; prints "NAME UNIT N MIN MEDIAN MEAN STD_DEV MAX
# VALUES..." lines, nanoseconds as milliseconds. The clock counts an instruction as a nanosecond.
statistics() {
    sed -n 's/^value //p' | awk '
        {
            unit = "KiB"; name = $1; number = $2
            if (name ~ /_bytes$/) { unit = "bytes" }
            if (name ~ /_first_run_ns$/) { unit = "Minstr"; number /= 1e6; sub(/_ns$/, "", name) }
            if (name ~ /_ns$/) { unit = "ms"; number /= 1e6; sub(/_ns$/, "", name) }
            sub(/_userspace$/, "_boot_time_ms", name); sub(/_exit$/, "_total_time_ms", name)
            sub(/_first_run$/, "_first_kvm_run_minstr", name)
            if (!(name in count)) { order[++names] = name }
            value[name, ++count[name]] = number; units[name] = unit
        }
        END {
            for (k = 1; k <= names; k++) {
                name = order[k]; n = count[name]; sum = square = 0; list = ""
                for (i = 1; i <= n; i++) {
                    sum += value[name, i]; list = list " " value[name, i]; sorted[i] = value[name, i]
                }
                for (i = 2; i <= n; i++)
                    for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
                        t = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = t
                    }
                mean = sum / n
                for (i = 1; i <= n; i++) square += (sorted[i] - mean) ^ 2
                deviation = n > 1 ? sqrt(square / (n - 1)) : 0
                median = n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
                print name, units[name], n, sorted[1], median, mean, deviation, sorted[n] list
            }
        }' OFMT='%.9g' CONVFMT='%.9g'
}

# ratio LINES NAME PEER LIMIT: a line "NAME/PEER ratio of the medians, limit".
ratio() {
    awk -v a="$2" -v b="$3" -v limit="$4" '
        $1 == a { x = $5 } $1 == b { y = $5 }
        END { if (x && y) printf "%-44s %10.3f   (at most %s)\n", a " / " b, x / y, limit }' <<<"$1"
}

table() {
    local lines=$1
    printf '\n%-36s %8s %4s %12s %12s %12s %10s\n' measurement unit n min median max std_dev
    awk '{ printf "%-36s %8s %4d %12.2f %12.2f %12.2f %10.3f\n", $1, $2, $3, $4, $5, $8, $7 }' \
        <<<"$lines"
    echo
    ratio "$lines" cxlvm_warm_boot_time_ms qemu_boot_time_ms 0.85
    ratio "$lines" cxlvm_warm_total_time_ms qemu_total_time_ms 0.85
    ratio "$lines" cxlvm_vmlinux_boot_time_ms qemu_boot_time_ms -
    ratio "$lines" cxlvm_cold_boot_time_ms qemu_boot_time_ms -
    awk '
        $1 == "cxlvm_warm_first_kvm_run_minstr" { show("exec to first KVM_RUN, Minstr", $5, 15) }
        $1 == "cxlvm_warm_overhead_rss_kib" { show("resident beyond guest RAM, MiB", $5 / 1024, 5) }
        $1 == "cxlvm_binary_bytes" { show("static stripped binary, MiB", $5 / 1048576, 3) }
        function show(what, x, limit) { printf "%-44s %10.3f   (at most %s)\n", what, x, limit }
        ' <<<"$lines"
}

json() {
    local revision
    revision=$(git -C "$CXLVM_SOURCE_DIR" rev-parse HEAD 2>/dev/null || echo unknown)
    printf '{\n  "git_revision": "%s",\n  "outer_kernel": "%s",\n  "results": [\n' "$revision" "$2"
    awk '
        {
            values = ""
            for (i = 9; i <= NF; i++) values = values (i > 9 ? ", " : "") $i
            printf "%s    {\"name\": \"%s\", \"unit\": \"%s\", \"n\": %d, \"min\": %s, ", \
                (NR > 1 ? ",\n" : ""), $1, $2, $3, $4
            printf "\"median\": %s, \"mean\": %s, \"std_dev\": %s, \"max\": %s, \"values\": [%s]}", \
                $5, $6, $7, $8, values
        }
        END { print "\n  ]\n}" }' <<<"$1"
}

outer_begin
payload=$outer_work/payload
mkdir -p "$payload/lab/bench" "$payload/bin"
binary=''
if [[ $variants != qemu ]]; then
    binary=$(cxlvm_binary)
    strip -o "$payload/bin/cxlvm" "$binary"
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
mkdir -p "$CXLVM_BUILD_DIR/bench"
table "$lines" | tee "$CXLVM_BUILD_DIR/bench/lab.txt"
json "$lines" "$(basename "$(lab_kernel 6.1)")" >"$CXLVM_BUILD_DIR/bench/lab.json"
echo
echo "table: $CXLVM_BUILD_DIR/bench/lab.txt"
echo "JSON:  $CXLVM_BUILD_DIR/bench/lab.json"
