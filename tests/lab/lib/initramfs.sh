# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Archives of busybox and modules that a kernel takes as its initramfs. To be sourced after kernels.sh.

# pack FOLDER FILE: the folder as an archive that a kernel takes as part of its initramfs.
pack() {
    (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
        cpio --null --create --format=newc --owner=0:0 --quiet) >"$2"
}

# put_busybox FOLDER: busybox under all its names.
put_busybox() {
    local applet
    mkdir -p "$1"/{bin,proc,sys,dev} || return 1
    install -m 755 "$(command -v busybox)" "$1/bin/busybox" || return 1
    while read -r applet; do
        [[ $applet == busybox ]] || ln -s busybox "$1/bin/$applet" || return 1
    done < <(busybox --list)
}

# put_modules FOLDER KERNEL MODULE...: uncompressed, with names that sort in the order of insertion,
# behind those of first_module. Fails when the kernel lacks one.
put_modules() {
    local folder=$1 file files name number=${first_module:-10}
    mkdir -p "$folder/modules" || return 1
    files=$(module_files "${@:2}") || return 1
    [[ -n $files ]] || return 0
    while read -r file; do
        name=${file##*/}
        case $name in
            *.xz) xz -dc "$file" >"$folder/modules/$number-${name%.xz}" ;;
            *) cp "$file" "$folder/modules/$number-$name" ;;
        esac || return 1
        number=$((number + 1))
    done <<<"$files"
}
