#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the lab's own functions: needs neither network nor root, and starts no machine.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CXLVM_SOURCE_DIR=$(cd "$here/../.." && pwd)
CXLVM_BUILD_DIR=$(mktemp -d)
trap 'rm -rf "$CXLVM_BUILD_DIR"' EXIT
scenario_folder=$CXLVM_BUILD_DIR/scenarios
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

failed=0
expect() {
    if [[ $2 == "$3" ]]; then
        echo "ok: $1"
    else
        echo "FAIL: $1: '$2', not '$3'"
        failed=1
    fi
}

expect "an installed package is not missing" "$(missing_packages dpkg)" ""
expect "a package that does not exist is missing" \
    "$(missing_packages dpkg no-such-package-0)" no-such-package-0

expect "the newest release counts by number" \
    "$(newest_release 6.1 linux-image-6.1.0-9-cloud-amd64 linux-image-6.1.0-37-cloud-amd64 \
        linux-image-6.1.0-40-amd64 linux-image-6.12.1-cloud-amd64)" 6.1.0-37-cloud-amd64
expect "a kernel in parts counts by its binary" \
    "$(newest_release 7 linux-image-6.19.1-cloud-amd64 linux-binary-7.2.9+deb13-cloud-amd64 \
        linux-binary-7.2.12+deb13-cloud-amd64)" 7.2.12+deb13-cloud-amd64
expect "a series that is gone gives the newest there is" \
    "$(newest_release 7 linux-binary-8.1.2-cloud-amd64 linux-image-6.19.1-cloud-amd64)" \
    8.1.2-cloud-amd64
expect "debug symbols are no kernel" \
    "$(newest_release 6.1 linux-image-6.1.0-9-cloud-amd64-dbg)" ""

# modprobe, of a kernel with the modules a and b, where b needs a, and with c built in.
modprobe() {
    case ${*: -1} in
        a) echo "insmod /m/a.ko " ;;
        b) printf 'insmod /m/a.ko \ninsmod /m/b.ko \n' ;;
        c) echo "builtin c" ;;
        *) return 1 ;;
    esac
}
mkdir "$CXLVM_BUILD_DIR/kernel-of-modules"
echo 6.1 >"$CXLVM_BUILD_DIR/kernel-of-modules/release"
modules_of() { module_files "$CXLVM_BUILD_DIR/kernel-of-modules" "$@" 2>&1 | tr '\n' ' '; }
expect "modules come with what they need, each once" "$(modules_of c b a)" "/m/a.ko /m/b.ko "
expect "of a module that is built in there is no file" "$(modules_of c)" ""
# That it fails is its own matter: here its words are compared.
expect "a module that the kernel lacks is named" "$(modules_of a nothing || true)" \
    "kernels: kernel 6.1 has no module nothing: correct the name, or take another kernel "
put_modules "$CXLVM_BUILD_DIR/lacking" "$CXLVM_BUILD_DIR/kernel-of-modules" nothing 2>/dev/null &&
    expect "an image without a module that it is to have" made refused
unset -f modprobe

mkdir -p "$scenario_folder"
printf '%s\n' "# Purpose: something" "# Needs: memory=64 kernels=6.1,7" >"$scenario_folder/one.sh"
expect "a need that is stated" "$(scenario_need one memory 1)" 64
expect "a need that is not stated" "$(scenario_need one time 180)" 180
expect "the list names purposes" "$(scenario_list | tr -s ' ')" "one something"
scenario_exists ../one && expect "a scenario outside the folder" found refused

# When the disk with Debian is made: with stand-ins for what asks the archive and what makes it.
disk_with() (
    versions=$1 made=$2
    need_packages() { :; }
    suite_lists() { touch "$CXLVM_KERNEL_DIR/apt/bookworm/stamp"; }
    suite_apt() { [[ -z $versions ]] || echo "Inst systemd ($versions)"; }
    debian_make() { [[ $made == made ]] && echo "$versions" >"$2"; }
    if image=$(debian_image 2>/dev/null); then cat "$image"; else echo none; fi
)
mkdir -p "$CXLVM_KERNEL_DIR/apt/bookworm"
expect "no disk where none can be made" "$(disk_with 1 fails)" none
expect "a disk is made" "$(disk_with 1 made)" 1
expect "and taken the next time" "$(disk_with 1 fails)" 1
expect "a newer package makes a newer disk" "$(disk_with 2 made)" 2
expect "which takes the older one's place" "$(find "$CXLVM_DEBIAN_DIR" -name 'image-*' | wc -l)" 1
expect "one that cannot be made leaves the older one in use" "$(disk_with 3 fails)" 2
expect "without packages there is none" "$(disk_with "" made)" none

# A bzImage with one sector of set-up behind the boot sector and a payload at offset 0x10 of the
# rest (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).
little_endian() { printf "%b" "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' \
    $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)))"; }
bzimage_with() {
    head -c 1040 /dev/zero
    cat "$1"
}
put_at() { dd of="$2" bs=1 seek="$1" conv=notrunc status=none; }
image=$CXLVM_BUILD_DIR/image payload=$CXLVM_BUILD_DIR/payload
head -c 10000 /dev/urandom >"$CXLVM_BUILD_DIR/kernel"
for packer in "gzip -c" "xz -c" "zstd -qc" "lz4 -lc"; do
    command -v "${packer%% *}" >/dev/null || continue
    $packer <"$CXLVM_BUILD_DIR/kernel" >"$payload" 2>/dev/null
    [[ $packer == gzip* ]] || little_endian 10000 >>"$payload"
    bzimage_with "$payload" >"$image"
    printf '\1' | put_at $((0x1f1)) "$image"
    little_endian 16 | put_at $((0x248)) "$image"
    little_endian "$(stat -c %s "$payload")" | put_at $((0x24c)) "$image"
    vmlinux_of "$image" "$CXLVM_BUILD_DIR/vmlinux"
    expect "a kernel packed with ${packer%% *} comes out" \
        "$(md5sum <"$CXLVM_BUILD_DIR/vmlinux")" "$(md5sum <"$CXLVM_BUILD_DIR/kernel")"
done
printf 'no known format, long enough' >"$payload"
bzimage_with "$payload" >"$image"
printf '\1' | put_at $((0x1f1)) "$image"
little_endian 16 | put_at $((0x248)) "$image"
little_endian 28 | put_at $((0x24c)) "$image"
vmlinux_of "$image" "$CXLVM_BUILD_DIR/vmlinux" 2>/dev/null && expect "a foreign payload" taken refused

# In QEMU's place: FAKE is what it does, with the machine's second port as its standard output.
mkdir "$CXLVM_BUILD_DIR/bin"
cat >"$CXLVM_BUILD_DIR/bin/qemu-system-x86_64" <<'SCRIPT'
#!/bin/bash
for argument in "$@"; do
    [[ $argument != *id=steps,path=* ]] || steps=${argument#*path=} steps=${steps%%,*}
    [[ $argument != *id=monitor,path=* ]] || exec 3<>"${argument#*path=}.in"
done
eval "$FAKE" >>"$steps"
SCRIPT
chmod +x "$CXLVM_BUILD_DIR/bin/qemu-system-x86_64"
# machine SECONDS FAKE [WORDS]: prints what outer_run returns.
machine() {
    local status=0
    outer_work=$(mktemp -d "$CXLVM_BUILD_DIR/machine.XXXXXX")
    emulator=("$CXLVM_BUILD_DIR/bin/qemu-system-x86_64")
    FAKE=$2 outer_run "$1" 64 "${3:-}" >/dev/null 2>&1 || status=$?
    echo "$status"
}
expect "the version of a QEMU" "$(emulator_major echo QEMU emulator version 10.0.2)" 10
expect "what is no QEMU has none" "$(emulator_major false)" ""
outer_start_time=3 outer_silence=3
expect "a machine that ends is done" "$(machine 60 'echo verdict: PASS')" 0
expect "one without a sign of life stands still" "$(machine 60 'exec sleep 300')" 2
expect "one that lives has its time" \
    "$(machine 6 'while :; do echo alive; sleep 1; done')" 1
expect "one that must be silent is not asked" "$(machine 6 'exec sleep 300' lab_silent=1)" 1

# run.sh on a system that lacks everything, or where something cannot be fetched: stand-ins for
# Debian's programs, of which INSTALLED says what dpkg-query answers.
fakes=$CXLVM_BUILD_DIR/fakes
mkdir "$fakes"
stand_in() {
    printf '#!/bin/sh\n%s\n' "$2" >"$fakes/$1"
    chmod +x "$fakes/$1"
}
# shellcheck disable=SC2016  # variables of the stand-ins
{
    stand_in dpkg-query 'printf "%s" "$INSTALLED"'
    stand_in sudo 'exec "$@"'
    stand_in apt-get 'exit 100'
    stand_in qemu-system-x86_64 'echo "version 99."'
}
# last_line_and_code VARIABLE=VALUE VARIABLE=VALUE SCENARIO...
last_line_and_code() {
    local status=0
    PATH=$fakes:$PATH CXLVM=$(type -P true) env CXLVM_BUILD_DIR="$CXLVM_BUILD_DIR/of-run" "${@:1:2}" \
        "$here/run.sh" "${@:3}" >"$CXLVM_BUILD_DIR/lines" 2>/dev/null || status=$?
    echo "$(tail -n 1 "$CXLVM_BUILD_DIR/lines") $status"
}
expect "packages that cannot be installed fail the scenario, by their names" \
    "$(last_line_and_code INSTALLED= LAB_TIME=100 boot)" \
    "lab: boot: FAIL: packages are missing: ${outer_packages[*]} 1"
last_line_and_code INSTALLED= LAB_TIME=100 boot smp >/dev/null
expect "and each of several" "$(grep -c '^lab: [a-z]*: FAIL: packages' "$CXLVM_BUILD_DIR/lines")" 2
expect "a kernel that cannot be fetched fails it" \
    "$(last_line_and_code INSTALLED=installed LAB_TIME=100 boot)" \
    "lab: boot: FAIL: the outer machine could not be made: the lines above say why 1"
expect "a folder that cannot be made fails it" \
    "$(last_line_and_code INSTALLED=installed CXLVM_BUILD_DIR=/proc/none boot)" \
    "lab: boot: FAIL: the lab cannot be set up in /proc/none/lab 1"
expect "an error of the script's own fails it" \
    "$(last_line_and_code INSTALLED=installed LAB_TIME=no-number boot)" \
    "lab: boot: FAIL: run.sh ended before there was a verdict, exit code 1 1"

exit "$failed"
