#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds cxlvm and boots Debian's stock cloud kernel with it. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CXLVM_BUILD_DIR=$PWD/build
# shellcheck source-path=SCRIPTDIR source=../tests/packages.sh
source tests/packages.sh
# shellcheck source-path=SCRIPTDIR source=../tests/lab/lib/kernels.sh
source tests/lab/lib/kernels.sh
# shellcheck source-path=SCRIPTDIR source=../tests/lab/lib/initramfs.sh
source tests/lab/lib/initramfs.sh
# shellcheck source-path=SCRIPTDIR source=../tests/lab/lib/debian_image.sh
source tests/lab/lib/debian_image.sh

usage() {
    cat <<TEXT
usage: vmm/demo.sh [--debian]

Builds cxlvm and boots Debian's stock cloud kernel with it, to a busybox userspace and off again.
Installs what is missing from Debian, and says what and why; the kernel is unpacked, not installed.

  --debian   boot Debian 12 from a disk to a login prompt: root, without a password. It has the host's
             network, through passt. poweroff ends it, Ctrl-A x at once. The disk is made by mmdebstrap,
             which takes a minute or more and needs no root, and is kept in build/lab/debian; what the
             guest writes to it is gone at the end.
  --help     print this text

Where the host's KVM is missing or cannot run a stock Linux, it boots in the nested lab: an emulated
machine, in which KVM is real. --debian there logs in, looks for failed units and powers off by itself;
its network ends in that machine.
TEXT
}

say() { echo "demo: $*"; }

scenario=boot
for argument in "$@"; do
    case $argument in
        --debian) scenario=debian ;;
        --help | -h)
            usage
            exit
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
done

# make_initramfs FILE: busybox, and an init that says where it is and powers off.
make_initramfs() {
    local folder
    folder=$(mktemp -d "$CXLVM_BUILD_DIR/demo.XXXXXX")
    put_busybox "$folder"
    cat >"$folder/init" <<'INIT'
#!/bin/busybox sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "demo guest: userspace of Linux $(uname -r), up $(cut -d' ' -f1 /proc/uptime) s," \
    "$(grep -c ^processor /proc/cpuinfo) CPU, $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB"
poweroff -f
INIT
    chmod +x "$folder/init"
    pack "$folder" "$1"
    rm -rf "$folder"
}

# why_not_here: prints why a stock Linux cannot boot on this host's KVM; nothing when it can. Asks
# cxlvm, which measures how fast guest code runs instead of going by names.
why_not_here() {
    # Its status is 1 when something is missing, which is an answer here and no failure.
    { build/release/cxlvm check --json || [[ $? -eq 1 ]]; } | python3 -c '
import json, sys
for check in json.load(sys.stdin)["checks"]:
    if check["name"].upper().startswith("KVM") and check["status"] in ("missing", "warn"):
        print(check["found"])
        break
'
}

need_build_packages
need_packages "to read what cxlvm check says" python3
say "building build/release/cxlvm"
mkdir -p build
if ! { cmake --preset release -DCXLVM_TESTS=OFF -DCXLVM_BENCH=OFF &&
    cmake --build build/release --target cxlvm_cli; } >build/demo-build.log 2>&1; then
    tail -n 30 build/demo-build.log
    say "the build failed: build/demo-build.log"
    exit 1
fi

why=$(why_not_here)
if [[ -n $why ]]; then
    say "no stock Linux on this host's KVM ($why): booting in the nested lab instead"
    VERBOSE=1 exec tests/lab/run.sh "$scenario"
fi

need_packages "for the guest's userspace" busybox-static cpio
need_packages "to check where the kernel comes from" debian-archive-keyring
kernel=$(debian_kernel bookworm 6.1)
if [[ $scenario == debian ]]; then
    need_packages "for the guest's network" passt
    image=$(debian_image)
    debian_initramfs "$kernel" build/demo-initramfs
    # A copy without a name, so that nothing of it is left at the end.
    cp --sparse=always "$image" build/demo-disk
    exec {disk}<>build/demo-disk
    rm build/demo-disk
    say "booting Debian 12 with $(<"$kernel/release"): log in as root; Ctrl-A x ends it at once"
    exec build/release/cxlvm run --kernel "$kernel/vmlinuz" --initrd build/demo-initramfs \
        --memory 512M --disk "fd=$disk" --net passt --cmdline "console=ttyS0 quiet panic=-1"
fi
make_initramfs build/demo-initramfs
say "booting $(<"$kernel/release")"
exec build/release/cxlvm run --kernel "$kernel/vmlinuz" --initrd build/demo-initramfs \
    --memory 256M --cmdline "console=ttyS0 quiet panic=-1" --summary
