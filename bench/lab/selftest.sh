#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests of how the bench reads, sums up and judges figures; starts no machine.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=figures.sh
source "$here/figures.sh"

failed=0
expect() {
    if [[ $2 == "$3" ]]; then
        echo "ok: $1"
    else
        printf "FAIL: %s: '%s', not '%s'\n" "$1" "$2" "$3"
        failed=1
    fi
}

# The figures of one variant each, three rounds of the first.
lines=$(printf 'value %s\n' "a_userspace_ns 3000000" "a_userspace_ns 1000000" \
    "a_userspace_ns 2500000" "b_userspace_ns 2000000" "a_first_run_ns 15000001" \
    "a_overhead_rss_kib 100" "a_binary_bytes 3" "loop_ops_per_s 5" "loop_allocations_per_op 0.001" \
    "lookup_64_ns 12.5" "a_exit_ns 9000000" | statistics)
expect "times become milliseconds, sorted, with their median" "$(sed -n 1p <<<"$lines" | cut -d' ' -f1-5,8-)" \
    "a_boot_time_ms ms 3 1 2.5 3 3 1 2.5"
expect "each figure has its unit" "$(cut -d' ' -f1,2 <<<"$lines" | sed 1d | tr '\n' ,)" \
    "b_boot_time_ms ms,a_first_kvm_run_minstr Minstr,a_overhead_rss_kib KiB,a_binary_bytes bytes,$(
    )loop_ops_per_s op/s,loop_allocations_per_op /op,lookup_64_ns ns,a_total_time_ms ms,"

# verdict FIGURE LIMIT: what the limit says of these figures.
verdict() {
    printf '# a comment\n%s\n' "$1 $2" >"$work/limits"
    limits "$lines" "$work/limits" | cut -d' ' -f2,4
}
expect "a figure at its limit is in it" "$(verdict a_binary_bytes 3)" "3 ok"
expect "a figure beyond its limit" "$(verdict a_binary_bytes 2)" "3 EXCEEDED"
expect "one instruction too much" "$(verdict a_first_kvm_run_minstr 15)" "15.000001 EXCEEDED"
expect "an allocation now and then is one" "$(verdict loop_allocations_per_op 0)" "0.001 EXCEEDED"
expect "a figure counts with its largest value" "$(verdict a_boot_time_ms 2.6)" "3 EXCEEDED"
expect "a ratio is that of the medians" "$(verdict a_boot_time_ms/b_boot_time_ms 1.25)" "1.25 ok"
expect "a ratio beyond its limit" "$(verdict a_boot_time_ms/b_boot_time_ms 0.85)" "1.25 EXCEEDED"
expect "a ratio that is only shown" "$(verdict a_boot_time_ms/b_boot_time_ms -)" "1.25 -"
expect "a figure that nobody measured" "$(verdict c_boot_time_ms 1)" "- MISSING"
expect "a peer that nobody measured" "$(verdict a_boot_time_ms/c_boot_time_ms 1)" "- MISSING"

printf '%s\n' "a_boot_time_ms/b_boot_time_ms 0.85" "c 1" "a_binary_bytes 3" >"$work/limits"
verdicts=$(limits "$lines" "$work/limits")
json "$lines" "$verdicts" 1234 6.1 >"$work/json"
json "$lines" "" 1234 6.1 >"$work/json-of-the-peer"
expect "the JSON is sound, and has figures and verdicts" "$(python3 - "$work"/json* <<'TEXT'
import json, sys
whole, peer = (json.load(open(name)) for name in sys.argv[1:])
print(len(whole["results"]), whole["results"][0]["values"], len(peer["results"]), peer["limits"],
      [(l["value"], l["at_most"], l["verdict"]) for l in whole["limits"]])
TEXT
)" "9 [3, 1, 2.5] 9 [] [(1.25, 0.85, 'EXCEEDED'), (None, 1, 'MISSING'), (3, 3, 'ok')]"
expect "the table says which limit is exceeded" \
    "$(table "$lines" "$verdicts" | grep -c 'EXCEEDED$')" 1

expect "which clock it was" "$({
    table "$lines" "" icount
    json "$lines" "" 1234 6.1 plain
} | grep -c 'clock counts instructions\|"clock": "the host')" 2
expect "what is counted has a unit" "$(printf 'value %s 0.5\n' a_halt_exits a_interrupts \
    a_frames_to_guest | statistics | cut -d' ' -f1,2 | tr '\n' ,)" \
    "a_halt_exits /op,a_interrupts /op,a_frames_to_guest /op,"

# Google Benchmark's JSON, as much of it as counts.
entry() {
    printf '    {\n      "name": "%s",\n      "run_name": "%s",\n' "$1" "$1"
    shift
    printf '      %s,\n' "$@"
    printf '      "time_unit": "ns"\n    },\n'
}
# read_json KIND: what is read from standard input, and with what exit code.
read_json() {
    local code=0
    awk -v prefix=p -v kind="$1" -f "$here/google_benchmark.awk" || code=$?
    echo "exit $code"
}
expect "operations a second, and the most allocations of any" "$({
    entry read '"allocs/op": 2.5000000000000000e-01' '"items_per_second": 1.2500000000000000e+06'
    entry post/256/real_time '"allocs/op": 0.0000000000000000e+00' '"items_per_second": 4.0e+00'
} | read_json ops_per_s | tr '\n' ,)" \
    "p_read_ops_per_s 1250000,p_post_256_ops_per_s 4,p_allocations_per_op 0.25,exit 0,"
expect "nanoseconds of one" \
    "$(entry run_bare/out/manual_time '"items_per_second": 2.0e+06' | read_json ns | tr '\n' ,)" \
    "p_bare_out_ns 500,exit 0,"
expect "a benchmark that failed" "$(entry read '"error_occurred": true' \
    '"error_message": "KVM_RUN failed"' | read_json ns | tr '\n' ,)" \
    "read: KVM_RUN failed,no benchmark was run,exit 1,"
expect "a filter that matches nothing" "$(echo "" | read_json ns | tr '\n' ,)" \
    "no benchmark was run,exit 1,"

exit "$failed"
