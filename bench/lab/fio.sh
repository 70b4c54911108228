# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian's fio for a small guest. To be sourced after packages.sh.

# put_fio FOLDER: without the 80 MB of libraries for clusters and RDMA that fio is linked with, which the
# guest would unpack, load and never use: libraries of empty functions take their place.
put_fio() {
    local fio library name functions=$1/functions folder=$1/lib/x86_64-linux-gnu
    local -a absent=()
    need_packages "for the guest whose disk is measured" fio g++ || return 1
    fio=$(command -v fio) || return 1
    mkdir -p "$1"/{bin,lib64} "$folder" || return 1
    cp "$fio" "$1/bin/fio" || return 1
    cp -L /lib64/ld-linux-x86-64.so.2 "$1/lib64/" || return 1
    while read -r name; do
        case $name in
            libc.* | libm.* | libz.* | libaio.* | libnuma.*)
                library=$(ldd "$fio" | awk -v name="$name" '$1 == name { print $3 }')
                cp -L "$library" "$folder/" || return 1
                ;;
            *) absent+=("$name") ;;
        esac
    done < <(objdump -p "$fio" | awk '$1 == "NEEDED" { print $2 }')
    # The functions of all of them in each, with their versions.
    nm -D --undefined-only "$fio" | awk '{ print $2 }' |
        grep -E '^(glfs|ibv|nbd|pmem|pmemblk|rados|rbd|rdma)_' >"$functions" || return 1
    sed 's/@.*//; s/.*/.globl &\n.type &, @function\n&: ret/' "$functions" >"$functions.s" || return 1
    awk -F@ 'NF == 2 { names[$2] = names[$2] $1 "; " }
        END { for (version in names) print version " { " names[version] "};" }' "$functions" >"$functions.map" ||
        return 1
    for name in "${absent[@]}"; do
        "${CXX:-g++}" -shared -nostdlib -Wl,-soname,"$name" -Wl,--version-script="$functions.map" \
            -o "$folder/$name" "$functions.s" || return 1
    done
    rm "$functions" "$functions".{s,map}
}
