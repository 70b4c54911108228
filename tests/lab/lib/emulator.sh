# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The QEMU that emulates the outer machine. To be sourced after packages.sh and kernels.sh.
#
# QEMU 7.2, which Debian 12 has, loses interrupts of a machine that runs guests of its own far more
# often than QEMU 10 (README.md, "A machine that stands still"). So a newer one is unpacked from the
# release's backports, next to the kernels, and never installed.

: "${CXLVM_QEMU_DIR:=${CXLVM_BUILD_DIR:?set it before sourcing emulator.sh}/lab/qemu}"

emulator_least=10 # the oldest major version that is used
emulator=()       # the command, once emulator_find was called

# emulator_major COMMAND...: the major version of a QEMU; nothing when it does not run.
emulator_major() { "$@" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\)\..*/\1/p'; }

# emulator_unpacked: prints the folder of the backported QEMU, fetched when it is not there.
emulator_unpacked() (
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    suite=$codename-backports
    mkdir -p "$CXLVM_KERNEL_DIR" "$CXLVM_QEMU_DIR" || exit 1
    exec 9>"$CXLVM_KERNEL_DIR/lock" || exit 1
    flock 9 || exit 1
    suite_lists "$suite" || exit 1
    version=$(suite_apt "$suite" apt-cache show --no-all-versions qemu-system-x86 |
        sed -n 's/^Version: //p')
    [[ -n $version ]] || exit 1
    target=$CXLVM_QEMU_DIR/${version//:/_}
    if [[ ! -e $target ]]; then
        need_packages "for the libraries of a newer QEMU than this release has" libaio1 libbpf1 \
            libcapstone4 libfdt1 libfuse3-3 libglib2.0-0 libgmp10 libgnutls30 libhogweed6 libibverbs1 \
            libjpeg62-turbo libnettle8 libnuma1 libpixman-1-0 libpmem1 libpng16-16 librdmacm1 \
            libsasl2-2 libseccomp2 libslirp0 libudev1 liburing2 libvdeplug2 libzstd1 seabios || exit 1
        echo "emulator: fetching QEMU $version of $suite" >&2
        work=$(mktemp -d "$CXLVM_QEMU_DIR/work.XXXXXX") || exit 1
        trap 'rm -rf "$work"' EXIT
        mkdir "$work/packages" "$work/root" || exit 1
        (cd "$work/packages" && retry suite_apt "$suite" apt-get download qemu-system-x86 \
            qemu-system-common qemu-system-data >&2) || exit 1
        for package in "$work"/packages/*.deb; do
            dpkg -x "$package" "$work/root" || exit 1
        done
        mv "$work/root" "$target" || exit 1
    fi
    echo "$target"
)

# emulator_find: sets emulator: the system's QEMU when it is new enough, else the backported one, and
# where that cannot be had the system's after all, with a line that says so.
emulator_find() {
    local folder
    emulator=(qemu-system-x86_64)
    # A QEMU that does not run has no version, which counts as 0.
    if (($(emulator_major "${emulator[@]}" || true) + 0 >= emulator_least)); then
        return
    fi
    if folder=$(emulator_unpacked); then
        emulator=(env "QEMU_MODULE_DIR=$folder/usr/lib/x86_64-linux-gnu/qemu"
            "$folder/usr/bin/qemu-system-x86_64" -L "$folder/usr/share/qemu" -L /usr/share/seabios
            -L /usr/share/qemu)
        if (($(emulator_major "${emulator[@]}" || true) + 0 >= emulator_least)); then
            return
        fi
    fi
    emulator=(qemu-system-x86_64)
    echo "emulator: no QEMU $emulator_least: the outer machine may stand still at times" >&2
}
