# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# From "value NAME NUMBER" lines to a table, verdicts about limits, and JSON. To be sourced.

# statistics: reads "value NAME NUMBER" lines; prints "NAME UNIT N MIN MEDIAN MEAN STD_DEV MAX
# VALUES..." lines, boot times as milliseconds. The clock counts an instruction as a nanosecond.
statistics() {
    sed -n 's/^value //p' | awk '
        {
            unit = "KiB"; name = $1; number = $2
            if (name ~ /_bytes$/) { unit = "bytes" }
            if (name ~ /_ns$/) { unit = "ns" }
            if (name ~ /_ops_per_s$/) { unit = "op/s" }
            if (name ~ /_(per_op|exits|interrupts|frames_(to|from)_guest)$/) { unit = "/op" }
            if (name ~ /_first_run_ns$/) { unit = "Minstr"; number /= 1e6; sub(/_ns$/, "", name) }
            if (name ~ /_(userspace|exit)_ns$/) { unit = "ms"; number /= 1e6; sub(/_ns$/, "", name) }
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

# limits LINES FILE: for each line of the file (see its head) "FIGURE VALUE LIMIT VERDICT", where
# LINES are those of statistics and VERDICT is ok, EXCEEDED, MISSING (not measured), or - (no limit).
limits() {
    awk '
        FNR == NR { median[$1] = $5; largest[$1] = $8; next }
        /^#/ || NF == 0 { next }
        {
            parts = split($1, figure, "/")
            missing = !(figure[1] in median) || (parts == 2 && !(median[figure[2]] > 0))
            if (missing) { print $1, "-", $2, "MISSING"; next }
            value = parts == 2 ? median[figure[1]] / median[figure[2]] : largest[figure[1]]
            verdict = $2 == "-" ? "-" : value + 0 > $2 + 0 ? "EXCEEDED" : "ok"
            print $1, sprintf("%.9g", value), $2, verdict
        }' <(echo "$1") "$2"
}

# table LINES VERDICTS CLOCK: both for reading; the clock is icount or plain.
table() {
    echo
    if [[ ${3:-icount} == icount ]]; then
        echo "The clock counts instructions: 1 ns is one instruction, 1 ms a million, 1 s a billion."
    else
        echo "The clock is the host's, under emulation: for ratios alone, on a machine that does nothing else."
    fi
    printf '\n%-46s %8s %4s %12s %12s %12s %10s\n' measurement unit n min median max std_dev
    awk '{ printf "%-46s %8s %4d %12.2f %12.2f %12.2f %10.3f\n", $1, $2, $3, $4, $5, $8, $7 }' \
        <<<"$1"
    [[ -n $2 ]] || return 0
    printf '\n%-56s %12s %10s  %s\n' limit value "at most" verdict
    awk '{ printf "%-56s %12s %10s  %s\n", $1, $2 == "-" ? $2 : sprintf("%.3f", $2), $3, $4 }' \
        <<<"$2"
}

# json LINES VERDICTS REVISION OUTER_KERNEL CLOCK
json() {
    local clock="instructions: 1 ns is one instruction"
    [[ ${5:-icount} == icount ]] || clock="the host's, under emulation"
    printf '{\n  "git_revision": "%s",\n  "outer_kernel": "%s",\n' "$3" "$4"
    printf '  "clock": "%s",\n  "results": [\n' "$clock"
    awk '
        {
            values = ""
            for (i = 9; i <= NF; i++) values = values (i > 9 ? ", " : "") $i
            printf "%s    {\"name\": \"%s\", \"unit\": \"%s\", \"n\": %d, \"min\": %s, ", \
                (NR > 1 ? ",\n" : ""), $1, $2, $3, $4
            printf "\"median\": %s, \"mean\": %s, \"std_dev\": %s, \"max\": %s, \"values\": [%s]}", \
                $5, $6, $7, $8, values
        }
        END { print "\n  ],\n  \"limits\": [" }' <<<"$1"
    awk '
        NF {
            printf "%s    {\"figure\": \"%s\", \"value\": %s, \"at_most\": %s, \"verdict\": \"%s\"}", \
                (lines++ ? ",\n" : ""), $1, $2 == "-" ? "null" : $2, $3 == "-" ? "null" : $3, \
                $4 == "-" ? "no limit" : $4
        }
        END { print (lines ? "\n" : "") "  ]\n}" }' <<<"$2"
}
