# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A disk with Debian 12 on it, for the demo and the lab. To be sourced after packages.sh, kernels.sh
# and initramfs.sh.
#
#   debian_image                      prints an ext4 image of 2 GiB, sparse, not to be written
#   debian_initramfs KERNEL FILE      makes the initramfs that hands over to it, for such a kernel
#
# The system has systemd, a network by DHCP and apt; root logs in on the serial console without a
# password. It needs no root to be made. The image is made anew when the archive has newer packages,
# which is looked up at most daily, or when this file changes.

: "${CXLVM_DEBIAN_DIR:=${CXLVM_BUILD_DIR:?set it before sourcing debian_image.sh}/lab/debian}"

debian_suite=bookworm
debian_packages=(systemd-sysv udev dbus iproute2 systemd-resolved)
debian_say() { echo "debian: $*" >&2; }

# debian_sources: prints the file with the sources of the suite, whose lists are brought up to date.
debian_sources() (
    mkdir -p "$CXLVM_KERNEL_DIR" || exit 1
    exec 9>"$CXLVM_KERNEL_DIR/lock" || exit 1
    flock 9 || exit 1
    suite_lists "$debian_suite" >&2 || exit 1
    echo "$CXLVM_KERNEL_DIR/apt/$debian_suite/sources.list"
)

# debian_plan SOURCES FILE: FILE gets the packages that the image is made of, with their versions.
debian_plan() {
    if [[ $2 -nt ${1%/*}/stamp && $2 -nt ${BASH_SOURCE[0]} ]]; then
        return
    fi
    suite_apt "$debian_suite" apt-get -s --no-install-recommends install '?essential' \
        '?priority(required)' apt "${debian_packages[@]}" | sed -n 's/^Inst //p' >"$2.new"
    if [[ ! -s $2.new ]]; then
        debian_say "apt cannot say what the disk is made of"
        return 1
    fi
    mv "$2.new" "$2"
}

# debian_configure: prints the commands that mmdebstrap's shell runs on the new system's folder. With
# user namespaces they may run as somebody who cannot read our files.
debian_configure() {
    cat <<'SCRIPT'
set -eu
echo debian >"$1/etc/hostname"
echo "127.0.0.1 localhost debian" >"$1/etc/hosts"
# Logs in without a password, on a machine that nobody reaches but through its console.
sed -i 's/^root:[^:]*:/root::/' "$1/etc/shadow"
printf '%s\n' '[Match]' 'Type=ether' '[Network]' 'DHCP=yes' >"$1/etc/systemd/network/dhcp.network"
chroot "$1" systemctl enable systemd-networkd.service
echo LANG=C.UTF-8 >"$1/etc/default/locale"
# There is no screen.
chroot "$1" systemctl set-default multi-user.target
rm -f "$1/etc/systemd/system/getty.target.wants/getty@tty1.service"
# As if systemd had done what it does after an update: the packages' scripts have.
touch -r "$1/usr" "$1/etc/.updated" "$1/var/.updated"
SCRIPT
}

# debian_make SOURCES FILE: makes the image. mke2fs takes owners and device nodes from fakeroot, which
# only pretends to make them, so no privileges are needed.
debian_make() (
    set -o pipefail
    work=$(mktemp -d "$CXLVM_DEBIAN_DIR/work.XXXXXX") || exit 1
    trap 'rm -rf "$work"' EXIT
    debian_say "making a disk with Debian $debian_suite: $(wc -l <"$CXLVM_DEBIAN_DIR/plan")" \
        "packages, some minutes"
    # The mode is mmdebstrap's choice: root, user namespaces, or fakechroot.
    if ! mmdebstrap --variant=minbase --include="${debian_packages[*]}" \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook="$(debian_configure)" \
        "$debian_suite" "$work/root.tar" "$1" 2>&1 | tee "$CXLVM_DEBIAN_DIR/mmdebstrap.log" |
        sed -un 's/^I: \(downloading\|extracting\|installing\|creating\)/debian: \1/p' >&2; then
        tail -n 20 "$CXLVM_DEBIAN_DIR/mmdebstrap.log" >&2
        exit 1
    fi
    debian_say "making an ext4 file system of it"
    mkdir "$work/root" && truncate -s 2G "$work/image" || exit 1
    # shellcheck disable=SC2016  # the inner shell's parameters
    PATH=$PATH:/sbin:/usr/sbin fakeroot sh -c 'tar -x -p -C "$1" -f "$1.tar" &&
        mke2fs -q -t ext4 -L debian -E lazy_itable_init=0,lazy_journal_init=0 -d "$1" "$2"' \
        make "$work/root" "$work/image" >&2 || exit 1
    mv "$work/image" "$2"
)

# debian_image: see the top of the file.
debian_image() (
    need_packages "to make a disk with Debian on it" mmdebstrap fakeroot fakechroot e2fsprogs \
        debian-archive-keyring || exit 1
    mkdir -p "$CXLVM_DEBIAN_DIR" || exit 1
    exec 8>"$CXLVM_DEBIAN_DIR/lock" || exit 1
    flock 8 || exit 1
    plan=$CXLVM_DEBIAN_DIR/plan
    sources=$(debian_sources) && debian_plan "$sources" "$plan" || exit 1
    image=$CXLVM_DEBIAN_DIR/image-$(cat "$plan" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-16)
    if [[ ! -e $image ]]; then
        old=$(find "$CXLVM_DEBIAN_DIR" -maxdepth 1 -name 'image-*' | head -1)
        if debian_make "$sources" "$image"; then
            [[ -z $old ]] || rm -f "$old"
        elif [[ -n $old ]]; then
            debian_say "going on with the disk of $(date -r "$old" +%F)"
            image=$old
        else
            debian_say "no disk: the lines above say why, and $CXLVM_DEBIAN_DIR/mmdebstrap.log"
            exit 1
        fi
    fi
    echo "$image"
)

# debian_initramfs KERNEL FILE: see the top of the file.
debian_initramfs() (
    need_packages "for the initramfs of a guest" busybox-static cpio kmod xz-utils || exit 1
    folder=$(mktemp -d "$CXLVM_BUILD_DIR/initramfs.XXXXXX") || exit 1
    trap 'rm -rf "$folder"' EXIT
    put_busybox "$folder" || exit 1
    # Beyond what the disk needs: the network, the power button, and what systemd asks for.
    put_modules "$folder" "$1" virtio_pci virtio_blk virtio_net ext4 button autofs4 || exit 1
    install -m 755 "${BASH_SOURCE[0]%/lab/lib/*}/guest/debian_init.sh" "$folder/init" || exit 1
    pack "$folder" "$2"
)
