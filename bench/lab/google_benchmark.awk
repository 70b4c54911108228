# SPDX-License-Identifier: Apache-2.0
# Makes "NAME NUMBER" lines of the JSON that a Google Benchmark program prints. Variables: prefix of
# the names, and kind: "ops_per_s" for what the benchmark counts as items a second, "ns" for the
# time of one. Where benchmarks count allocations, the most that any has is a figure too. Fails when
# a benchmark failed, gives no figure, or none was run.
function text(line) {
    sub(/^[^:]*: */, "", line)
    sub(/,$/, "", line)
    gsub(/"/, "", line)
    return line
}
function finish() {
    if (name == "") return
    if (error != "" || !(items > 0)) {
        print name ": " (error != "" ? error : "no items_per_second")
        failed = 1
        return
    }
    gsub(/\/(real_time|manual_time|threads:1)/, "", name)
    gsub(/\//, "_", name)
    sub(/^run_/, "", name)
    printf "%s_%s_%s %.9g\n", prefix, name, kind, kind == "ns" ? 1e9 / items : items
    done++
}
/^ *"name":/ { finish(); name = text($0); items = 0; error = "" }
/^ *"items_per_second":/ { items = text($0) + 0 }
/^ *"error_occurred": true/ { error = "failed" }
/^ *"error_message":/ { error = text($0) }
/^ *"allocs\/op":/ {
    counted = 1
    if (text($0) + 0 > most) most = text($0) + 0
}
END {
    finish()
    if (counted) printf "%s_allocations_per_op %.9g\n", prefix, most
    if (!done) print "no benchmark was run"
    exit failed || !done
}
