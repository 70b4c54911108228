#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every test. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=packages.sh
source tests/packages.sh
exec </dev/null

usage() {
    cat <<TEXT
usage: tests/run.sh [--quick] [--only unit|style|tidy|kvm|fuzz|lab|bench]...

Installs what is missing from Debian, builds what the tests need, and runs them; the last line is
"N passed, N failed, N skipped". Logs and results are kept in build/test-results.

  --quick      one build (g++, debug): unit, style and kvm tests
  --only KIND  tests of that kind alone; may be repeated

Environment
  FULL=1   clang-tidy also over tests and benches, ten minutes of each fuzz target instead of ten
           seconds, and 1 MiB each way in the lab's console scenario instead of 256 KiB
  JOBS=N   processes at a time (default: the number of processors)
TEXT
}

quick='' kinds=()
while (($# > 0)); do
    case $1 in
        --quick) quick=1 ;;
        --only)
            case ${2:-} in
                unit | style | tidy | kvm | fuzz | lab | bench) kinds+=("$2") ;;
                *)
                    usage >&2
                    exit 2
                    ;;
            esac
            shift
            ;;
        --help | -h)
            usage
            exit
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done

jobs=${JOBS:-$(nproc)}
results=$PWD/build/test-results
rm -rf "$results"
mkdir -p "$results"

# wanted KIND [full]: whether tests of that kind are to run; "full" ones not with --quick.
wanted() {
    if ((${#kinds[@]} > 0)); then
        [[ " ${kinds[*]} " == *" $1 "* ]]
    else
        [[ -z $quick || ${2:-} != full ]]
    fi
}

say() { printf '== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
verdict() { echo "$*" >>"$results/verdicts"; }

# build PRESET TARGET...: a failure counts as a failed test.
build() {
    local preset=$1 log=$results/build-$1.log options=()
    shift
    say "build $preset"
    case $preset in
        asan | tsan) options=(-DCXLVM_BENCH=OFF) ;; # they are not run there
        clang) options=(-DCXLVM_BENCH=ON) ;;
        # What users build, with the benches, whose figures count in it alone. A warning has to fail
        # the next run, too, which compiles nothing again.
        release) options=(-DCXLVM_TESTS=OFF -DCXLVM_BENCH=ON -DCXLVM_WERROR=ON) ;;
        static) options=(-DCXLVM_WERROR=ON) ;;
    esac
    if ! { cmake --preset "$preset" "${options[@]}" && cmake --build "build/$preset" -j "$jobs" --target "$@"; } \
        >>"$log" 2>&1; then
        tail -n 40 "$log"
        verdict "build $preset FAIL $log"
        return 1
    fi
    if grep -q 'warning:' "$log"; then
        grep 'warning:' "$log" | sort -u | head
        verdict "build $preset-warnings FAIL $log"
    fi
}

# run_ctest PRESET LABEL [JOBS]: the results go to PRESET-LABEL.xml and its folder.
run_ctest() {
    local preset=$1 label=$2 parallel=${3:-$jobs} name=$1-$2 prefix=()
    say "$label tests, $preset"
    # The thread sanitizer of g++ 12 cannot map its shadow under every address randomisation.
    if [[ $preset == tsan ]] && setarch -R true 2>/dev/null; then
        prefix=(setarch -R)
    fi
    mkdir "$results/$name.gtest"
    GTEST_OUTPUT="xml:$results/$name.gtest/" "${prefix[@]}" ctest --test-dir "build/$preset" \
        -L "^$label\$" -j "$parallel" --output-on-failure --output-junit "$results/$name.xml" \
        >"$results/$name.log" 2>&1 || grep -vE ' +Passed +' "$results/$name.log" | tail -n 60
    [[ -s $results/$name.xml ]] || verdict "$name ctest FAIL no results, see $results/$name.log"
}

debug_stage() {
    build debug all || return 0
    ! wanted unit || run_ctest debug unit
    ! wanted kvm || run_ctest debug kvm 1
    ! wanted bench full || run_ctest debug bench 1
}

style_stage() {
    # man_page and headers need a built program.
    build debug cxlvm_cli || return 0
    ! wanted style || run_ctest debug style
    ! wanted tidy full || tidy_stage
}

# Apart from the other style tests, for it takes minutes; what it says on its way is shown at once.
tidy_stage() {
    say "clang-tidy"
    # It reads the compile commands alone: no build of clang's is needed.
    if ! cmake --preset clang -D CXLVM_BENCH=ON >"$results/configure-clang.log" 2>&1; then
        verdict "debug-tidy configure FAIL see $results/configure-clang.log"
        return
    fi
    # The result is in the XML file; the exit code says it once more.
    ctest --test-dir build/debug -L '^tidy$' -V --output-junit "$results/debug-tidy.xml" |
        tee "$results/debug-tidy.log" | sed -un 's/^[0-9]*: //p' || true
    [[ -s $results/debug-tidy.xml ]] || verdict "debug-tidy ctest FAIL no results"
}

sanitizer_stage() {
    build "$1" all || return 0
    ! wanted unit full || run_ctest "$1" unit
    ! wanted kvm full || run_ctest "$1" kvm 1
}

# To see that it compiles: the optimiser sees more to warn of than a debug build.
release_stage() { build release all || return 0; }

fuzz_stage() {
    # Everything, not the fuzz targets alone: clang warns of what g++ does not, thread safety above all.
    build clang all cxlvm_fuzz_targets || return 0
    run_ctest clang fuzz
}

# What the scenario console sends each way; a byte costs two exits through two levels of emulation.
console_bytes=262144
[[ -z ${FULL:-} ]] || console_bytes=1048576

# lab_scenario NAME
lab_scenario() {
    local scenario=$1 log=$results/lab-$1.log line begun=$SECONDS
    # The verdict's line decides; a run without one has failed too.
    LAB_BYTES=$console_bytes CXLVM=$PWD/build/static/cxlvm tests/lab/run.sh "$scenario" </dev/null >"$log" 2>&1 ||
        echo "tests/lab/run.sh: exit code $?" >>"$log"
    sed -n "/^lab: $scenario: note:/p" "$log"
    line=$(sed -n "s/^lab: $scenario: //p" "$log" | tail -1)
    if [[ $line == PASS ]]; then
        verdict "lab $scenario PASS"
    else
        tail -n 30 "$log"
        line=${line#FAIL: }
        verdict "lab $scenario FAIL ${line:-no verdict, see $log}"
    fi
    say "lab: $scenario took $((SECONDS - begun)) s"
}

# As many machines at a time as there are processors, each of which emulates one, and room in memory
# for: at most 6 GiB are given to one.
lab_scenarios() {
    local scenario gib at_once running=0
    gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
    at_once=$((gib / 6 < jobs ? gib / 6 : jobs))
    while read -r scenario _; do
        if ((running > 0 && running >= at_once)); then
            wait -n
            running=$((running - 1))
        fi
        (lab_scenario "$scenario" || verdict "lab $scenario FAIL it was not brought to its end") &
        running=$((running + 1))
    done < <(tests/lab/run.sh --list)
    wait
}

# The one limit of the bench that needs no measuring.
static_size() {
    local size limit
    limit=$(sed -n 's/^cxlvm_binary_bytes //p' bench/lab/limits)
    strip -o "$results/cxlvm.stripped" build/static/cxlvm
    size=$(stat -c %s "$results/cxlvm.stripped")
    if ((size <= limit)); then
        verdict "static stripped-size PASS"
    else
        verdict "static stripped-size FAIL $size bytes, at most $limit"
    fi
}

# The linker's sorted index of the unwind tables (cmake/CxlvmOptions.cmake): without it the first
# exception, also that of a plain "no such file", sorts them itself, which is 14 million instructions.
static_unwind_index() {
    if [[ $(LC_ALL=C readelf --program-headers --wide build/static/cxlvm) == *GNU_EH_FRAME* ]]; then
        verdict "static unwind-index PASS"
    else
        verdict "static unwind-index FAIL build/static/cxlvm has no PT_GNU_EH_FRAME"
    fi
}

lab_stage() {
    build static cxlvm_cli || return 0
    static_size
    static_unwind_index
    say "lab"
    lab_scenarios </dev/null
}

# All packages first: what is missing shows in the first minute.
need_test_packages
if wanted style || wanted tidy full || wanted fuzz full; then need_clang_packages; fi
if wanted unit || wanted kvm || wanted bench full; then debug_stage; fi
if wanted style || wanted tidy full; then style_stage; fi
if wanted unit full || wanted kvm full; then
    sanitizer_stage asan
    sanitizer_stage tsan
fi
if wanted unit full; then release_stage; fi
if wanted fuzz full; then fuzz_stage; fi
if wanted lab full; then lab_stage; fi

say "results"
exec python3 tests/report.py "$results"
