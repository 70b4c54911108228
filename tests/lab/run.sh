#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The nested lab: runs scenarios in an outer machine where KVM is real. See README.md here.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CXLVM_SOURCE_DIR=$(cd "$here/../.." && pwd)
CXLVM_BUILD_DIR=$(realpath -m "${CXLVM_BUILD_DIR:-$CXLVM_SOURCE_DIR/build}")
# shellcheck source-path=SCRIPTDIR source=lib/packages.sh
source "$here/lib/packages.sh"
# shellcheck source-path=SCRIPTDIR source=lib/kernels.sh
source "$here/lib/kernels.sh"
# shellcheck source-path=SCRIPTDIR source=lib/initramfs.sh
source "$here/lib/initramfs.sh"
# shellcheck source-path=SCRIPTDIR source=lib/debian_image.sh
source "$here/lib/debian_image.sh"
# shellcheck source-path=SCRIPTDIR source=lib/emulator.sh
source "$here/lib/emulator.sh"
# shellcheck source-path=SCRIPTDIR source=lib/outer.sh
source "$here/lib/outer.sh"
# shellcheck source-path=SCRIPTDIR source=lib/scenario.sh
source "$here/lib/scenario.sh"

usage() {
    cat <<TEXT
usage: tests/lab/run.sh [--icount] [--keep] SCENARIO... | all | --list | --shell

Runs each scenario in an outer machine of its own and ends with "lab: SCENARIO: PASS" or
"lab: SCENARIO: FAIL: why"; exits 0 only if all passed.

  --list     names and purposes of the scenarios
  --shell    a prompt in the outer machine, with cxlvm and the kernels in place
  --icount   the outer clock counts instructions: slower, and the same in every run
  --keep     keep the outer machine's files, and say where

Environment
  VERBOSE=1             show the consoles while they run
  CXLVM=FILE            the static binary to use (default: that of the preset, built when needed)
  CXLVM_BUILD_DIR=DIR   where everything is made (default: build)
  LAB_VMM=qemu          run Debian's QEMU in place of cxlvm: is it us, or the lab?
  LAB_BYTES=N           what the scenario console sends each way (default: 1048576)
  LAB_TIME=PERCENT      scale the scenarios' time limits (default: 100)
TEXT
}

with_icount='' with_qemu='' scenarios=() mode=run
waiting=() why='' # scenarios that have no verdict yet, and what keeps them from it
for argument in "$@"; do
    case $argument in
        --icount) with_icount=1 ;;
        --keep) outer_keep=1 ;;
        --list) mode=list ;;
        --shell) mode=shell ;;
        --help | -h) mode=help ;;
        all) mapfile -t -O "${#scenarios[@]}" scenarios < <(scenario_names) ;;
        -*)
            echo "lab: no option $argument; --help lists them" >&2
            exit 2
            ;;
        *)
            if ! scenario_exists "$argument"; then
                echo "lab: no scenario $argument; --list names them" >&2
                exit 2
            fi
            scenarios+=("$argument")
            ;;
    esac
done
case ${LAB_VMM:=cxlvm} in
    cxlvm) ;;
    qemu) with_qemu=1 ;;
    *)
        echo "lab: LAB_VMM=$LAB_VMM: cxlvm or qemu" >&2
        exit 2
        ;;
esac

# put_vmm FOLDER
put_vmm() {
    local binary
    [[ $LAB_VMM == cxlvm ]] || return 0
    binary=$(cxlvm_binary) || return 1
    install -D -m 755 "$binary" "$1/bin/cxlvm"
}

run_shell() {
    local folder=$outer_work/payload rows columns
    mkdir -p "$folder/lab/scenarios"
    cp "$here"/scenarios/*.sh "$folder/lab/scenarios/"
    put_vmm "$folder"
    outer_image 6.1 "$folder" 6.1 7
    read -r rows columns < <(stty size 2>/dev/null || echo 0 0)
    if ((rows == 0)); then rows=24 columns=80; fi
    outer_command 4096 "lab_mode=shell lab_vmm=$LAB_VMM lab_rows=$rows lab_cols=$columns" \
        -chardev stdio,id=console,signal=off -serial chardev:console
    "${outer_qemu[@]}"
}

# put_disk NAME FOLDER: the disk that the scenario wants, for outer_command, and what starts it.
put_disk() {
    local kernel image
    outer_disk=
    [[ $(scenario_need "$1" disk "") == debian ]] || return 0
    kernel=$(lab_kernel 6.1) && image=$(debian_image) && mkdir -p "$2/lab/debian" &&
        debian_initramfs "$kernel" "$2/lab/debian/initrd" || return 1
    # A newer image may take its place while this run still needs it.
    outer_disk=$outer_work/disk
    ln -f "$image" "$outer_disk" 2>/dev/null || cp --sparse=always "$image" "$outer_disk"
}

# run_machine NAME SECONDS: sets verdict. A machine whose emulation stands still says nothing about
# what runs in it: it is started once more, and that is said.
run_machine() {
    local attempt status kernel_words="lab_vmm=$LAB_VMM"
    [[ -z ${LAB_BYTES:-} ]] || kernel_words+=" lab_bytes=$LAB_BYTES"
    [[ -z $with_icount ]] || kernel_words+=" lab_silent=1"
    for attempt in 1 2; do
        status=0
        outer_run "$2" "$(scenario_need "$1" memory 3072)" "$kernel_words" || status=$?
        case $status in
            0)
                verdict=$(sed -n 's/^verdict: //p' "$outer_work/steps.log" | head -1)
                : "${verdict:=FAIL: the outer machine ended without a verdict}"
                return
                ;;
            1)
                verdict="FAIL: timeout after $2 s"
                return
                ;;
        esac
        mkdir -p "$CXLVM_BUILD_DIR/lab/logs/$1-stood-still-$attempt"
        cp "$outer_work"/{console,steps,qemu}.log \
            "$CXLVM_BUILD_DIR/lab/logs/$1-stood-still-$attempt/"
        echo "lab: $1: note: the emulation of the outer machine stood still (attempt $attempt)"
    done
    verdict="FAIL: the emulation of the outer machine stood still twice"
}

# at_end: every scenario has a verdict, however this script ends: before the machine is there, too.
at_end() {
    local status=$? name
    outer_end
    for name in "${waiting[@]}"; do
        echo "lab: $name: FAIL: ${why:-run.sh ended before there was a verdict, exit code $status}"
    done
    ((${#waiting[@]} == 0 || status != 0)) || exit 1
}

# run_scenario NAME: prints the verdict's line last.
run_scenario() {
    local name=$1 folder verdict logs=$CXLVM_BUILD_DIR/lab/logs/$1 time kernels
    # For outer_image.
    # shellcheck disable=SC2034
    local guest_modules guest_programs outer_modules outer_programs outer_devices
    guest_modules=$(scenario_need "$name" guest_modules "")
    guest_programs=$(scenario_need "$name" guest_programs "")
    outer_modules=$(scenario_need "$name" outer_modules "")
    outer_programs=$(scenario_need "$name" outer_programs "")
    outer_devices=$(scenario_need "$name" devices "")
    folder=$outer_work/payload
    rm -rf "$folder" "$logs" "$outer_work"/*.log
    IFS=, read -ra kernels <<<"$(scenario_need "$name" kernels 6.1)"
    time=$(scenario_need "$name" time 180)
    time=$((time * (1 + ${with_icount:-0}) * ${LAB_TIME:-100} / 100))
    if ! mkdir -p "$folder/lab" "$logs" || ! cp "$here/scenarios/$name.sh" "$folder/lab/scenario.sh"; then
        verdict="FAIL: $CXLVM_BUILD_DIR/lab cannot be written"
    elif ! put_vmm "$folder"; then
        verdict="FAIL: no cxlvm to test"
    elif ! put_disk "$name" "$folder"; then
        verdict="FAIL: the disk could not be made: the lines above say why"
    elif ! outer_image "$(scenario_need "$name" outer 6.1)" "$folder" "${kernels[@]}"; then
        verdict="FAIL: the outer machine could not be made: the lines above say why"
    else
        run_machine "$name" "$time"
    fi
    cp "$outer_work"/{console,steps,qemu}.log "$logs/" 2>/dev/null || true
    if [[ $verdict != PASS ]]; then
        sed -n 's/^    /    /p' "$logs/steps.log" 2>/dev/null || true
        sed 's/^/    qemu: /' "$logs/qemu.log" 2>/dev/null || true
        tail -n 20 "$logs/console.log" 2>/dev/null | tr -cd '\11\12\40-\176' |
            sed 's/^/    outer: /' || true
        echo "    the whole consoles: $logs"
    fi
    waiting=("${waiting[@]:1}")
    echo "lab: $name: $verdict"
    [[ $verdict == PASS ]]
}

case $mode in
    help) usage ;;
    list) scenario_list ;;
    shell)
        outer_begin
        run_shell
        ;;
    run)
        if ((${#scenarios[@]} == 0)); then
            usage >&2
            exit 2
        fi
        waiting=("${scenarios[@]}")
        outer_exit=at_end
        outer_begin || {
            mapfile -t missing < <(missing_packages "${outer_packages[@]}")
            why="the lab cannot be set up in $CXLVM_BUILD_DIR/lab"
            ((${#missing[@]} == 0)) || why="packages are missing: ${missing[*]}"
            exit 1
        }
        failed=0
        for scenario in "${scenarios[@]}"; do
            run_scenario "$scenario" || failed=1
        done
        exit "$failed"
        ;;
esac
