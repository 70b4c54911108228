# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Makes the outer machine and runs it: a stock Debian kernel under QEMU's emulation, whose /dev/kvm
# is real. To be sourced after packages.sh, kernels.sh, initramfs.sh and emulator.sh by a script that
# calls outer_begin once; what it makes, and QEMU, go away when that script ends.

: "${CXLVM_SOURCE_DIR:?set it before sourcing outer.sh}"

outer_folder=$CXLVM_SOURCE_DIR/tests/lab
outer_cache=$CXLVM_BUILD_DIR/lab/images # parts of images, named by a sum of what went in
outer_work=                             # this run's own folder
outer_pid=                              # QEMU
outer_disk=${outer_disk:-}              # not empty: the outer machine's /dev/vda; writes to it are lost
outer_keep=${outer_keep:-}              # not empty: keep the folder
outer_start_time=120                    # seconds until the first sign of life, at most
outer_silence=60                        # seconds without one: it gives one every 5

# An AMD processor with SVM. Without XSAVE and what needs it, because Linux 7.2 dies with them as the
# inner kernel (see README.md), and without what QEMU 7.2 would only warn that it cannot emulate.
outer_cpu=EPYC,-xsave,-xsavec,-avx,-avx2,-f16c,-fma
outer_cpu+=,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save

outer_packages=(qemu-system-x86 busybox-static cpio xz-utils zstd lz4 kmod g++ debian-archive-keyring)

outer_say() { echo "lab: $*" >&2; }

# outer_begin: a script that has more to do at its end than outer_end names a function of its own, which
# calls it, in outer_exit.
outer_begin() {
    # shellcheck disable=SC2064  # the function of now
    trap "${outer_exit:-outer_end}" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    need_packages "for the outer machine of the nested lab: QEMU, busybox, archives of its files" \
        "${outer_packages[@]}" || return 1
    mkdir -p "$outer_cache" "$CXLVM_BUILD_DIR/lab/logs" || return 1
    emulator_find
    outer_work=$(mktemp -d "$CXLVM_BUILD_DIR/lab/run.XXXXXX")
}

outer_end() {
    if [[ -n $outer_pid ]]; then
        # Cleaning up, after the verdict: it may have ended by itself, and was killed otherwise.
        kill -KILL "$outer_pid" 2>/dev/null || true
        wait "$outer_pid" 2>/dev/null || true
    fi
    if [[ -n $outer_keep ]]; then
        outer_say "kept $outer_work: command (QEMU's), image.cpio and logs"
    elif [[ -n $outer_work ]]; then
        rm -rf "$outer_work"
    fi
}

# cached_part NAME KEY MAKER ARGUMENT...: prints the file that holds that part of an image; the maker
# fills a folder, given as its first argument, when no part with this key is there.
cached_part() {
    local name=$1 key=$2 part folder
    shift 2
    part=$outer_cache/$name-$(sha256sum <<<"$key" | cut -c1-16).cpio
    if [[ ! -e $part ]]; then
        folder=$(mktemp -d "$outer_work/part.XXXXXX") || return 1
        "$1" "$folder" "${@:2}" || return 1
        pack "$folder" "$folder.cpio" || return 1
        # Not the same one of another run, which may be about to take it.
        find "$outer_cache" -maxdepth 1 -name "$name-*.cpio" ! -path "$part" -delete
        mv "$folder.cpio" "$part" || return 1
        rm -rf "$folder"
    fi
    # A newer part of the same name may take its place while this run still needs it.
    ln -f "$part" "$outer_work/" 2>/dev/null || cp "$part" "$outer_work/" || return 1
    echo "$outer_work/${part##*/}"
}

sum_of() { sha256sum "$@" | sha256sum; }

make_outer_base() {
    local folder=$1 kernel=$2
    put_busybox "$folder" || return 1
    put_modules "$folder" "$kernel" irqbypass kvm kvm-amd || return 1
    install -m 755 "$outer_folder/outer/init" "$folder/init" || return 1
    mkdir "$folder/lab" || return 1
    cp "$outer_folder"/outer/{lib,shell}.sh "$folder/lab/" || return 1
    put_programs "$folder" "$outer_folder"/outer/*.cpp
}

# The initramfs of the inner guests: all the jobs of tests/guest/init.
make_guest() {
    local folder=$1 kernel=$2
    put_busybox "$folder" || return 1
    put_modules "$folder" "$kernel" button evdev pvpanic-mmio || return 1
    install -m 755 "$CXLVM_SOURCE_DIR/tests/guest/init" "$folder/init" || return 1
    cp -r "$CXLVM_SOURCE_DIR/tests/guest/jobs" "$folder/" || return 1
    put_programs "$folder"
}

# make_extra FOLDER KERNEL MODULES PROGRAMS: what a scenario wants in a machine beyond that, in lists
# with commas.
make_extra() {
    local folder=$1 program
    local -a modules programs
    IFS=, read -ra modules <<<"$3"
    IFS=, read -ra programs <<<"$4"
    first_module=50 put_modules "$folder" "$2" "${modules[@]}" || return 1
    for program in "${programs[@]}"; do
        put_debian_program "$folder" "$program" || return 1
    done
}

# package_of PROGRAM: the Debian package that has it, when that has another name.
package_of() {
    case $1 in
        e2fsck) echo e2fsprogs ;;
        lspci) echo pciutils ;;
        mkfs.ext4) echo e2fsprogs ;;
        *) echo "$1" ;;
    esac
}

# put_debian_program FOLDER PROGRAM: with the libraries that it needs.
put_debian_program() {
    local folder=$1 package file
    package=$(package_of "$2")
    need_packages "for the machines of the lab" "$package" || return 1
    file=$(PATH=$PATH:/usr/sbin:/sbin command -v "$2") || {
        outer_say "package $package has no program $2"
        return 1
    }
    install -D -m 755 "$file" "$folder/bin/$2" || return 1
    put_libraries "$folder" "$file"
}

# put_libraries FOLDER FILE
put_libraries() {
    local library
    while read -r library; do
        mkdir -p "$1$(dirname "$library")" || return 1
        cp -L "$library" "$1$library" || return 1
    done < <(ldd "$2" | grep -oE '/[^ ]+')
}

# put_programs FOLDER [SOURCE]...: the programs of tests/guest, for either machine, and these.
put_programs() {
    local program
    for program in "$CXLVM_SOURCE_DIR"/tests/guest/*.cpp "${@:2}"; do
        static_program "$program" "$1/bin/$(basename "$program" .cpp)" || return 1
    done
}

# static_program SOURCE PROGRAM: a small program of ours that needs nothing but a kernel.
static_program() {
    "${CXX:-g++}" -std=c++20 -O2 -I "$CXLVM_SOURCE_DIR" -static -s -o "$2" "$1"
}

# The peer: Debian's QEMU with its libraries and the firmware that microvm wants.
make_qemu() {
    local folder=$1 file
    mkdir -p "$folder"/{bin,usr/share/qemu} || return 1
    file=$(command -v qemu-system-x86_64) || return 1
    cp "$file" "$folder/bin/" || return 1
    put_libraries "$folder" "$file" || return 1
    for file in bios-microvm.bin linuxboot_dma.bin pvh.bin kvmvapic.bin qboot.rom; do
        # Which of them a QEMU wants depends on its version; it says so when one is missing, and the
        # peer's run fails.
        cp -L "/usr/share/qemu/$file" "$folder/usr/share/qemu/" 2>/dev/null || true
    done
}

# lab_kernel SERIES: the folder of the Debian kernel that a scenario names by its series.
lab_kernel() {
    case $1 in
        6.1) debian_kernel bookworm 6.1 ;;
        7) debian_kernel trixie-backports 7 ;;
        *)
            outer_say "no kernel called $1: 6.1 or 7"
            return 1
            ;;
    esac
}

# vmlinux_of BZIMAGE FILE: the ELF kernel that a bzImage carries, without what it has for
# relocation. The setup header (Documentation/arch/x86/boot.rst) says where it is.
vmlinux_of() {
    local image=$1 sectors offset length payload magic
    sectors=$(od -An -tu1 -j $((0x1f1)) -N1 "$image")
    offset=$(od -An -tu4 -j $((0x248)) -N4 "$image")
    length=$(od -An -tu4 -j $((0x24c)) -N4 "$image")
    payload=$2.payload
    # The last four bytes are the unpacked size, which gzip has as part of its own format.
    tail -c +$(((sectors + 1) * 512 + offset + 1)) "$image" | head -c "$length" >"$payload" || true
    magic=$(od -An -tx1 -N4 "$payload" | tr -d ' ')
    case $magic in
        1f8b*) gzip -dc "$payload" ;;
        28b52ffd) head -c -4 "$payload" | zstd -qdc ;;
        fd377a58) head -c -4 "$payload" | xz -qdc ;;
        02214c18) head -c -4 "$payload" | lz4 -qdc ;;
        7f454c46) cat "$payload" ;;
        *)
            outer_say "$image: a payload of unknown kind $magic"
            return 1
            ;;
    esac >"$2" || return 1
    rm -f "$payload"
}

# cxlvm_binary: prints the static binary: CXLVM when set, or that of the preset, brought up to date.
cxlvm_binary() {
    local folder=$CXLVM_BUILD_DIR/static file
    if [[ -n ${CXLVM:-} ]]; then
        if [[ ! -x $CXLVM ]]; then
            outer_say "CXLVM=$CXLVM is no program"
            return 1
        fi
        echo "$CXLVM"
        return
    fi
    need_packages "to build cxlvm" cmake ninja-build g++ || return 1
    outer_say "building the static binary in $folder"
    (
        exec 9>"$CXLVM_BUILD_DIR/lab/static.lock"
        flock 9
        { [[ -e $folder/build.ninja ]] ||
            cmake -S "$CXLVM_SOURCE_DIR" --preset static -B "$folder"; } &&
            cmake --build "$folder"
    ) >"$CXLVM_BUILD_DIR/lab/logs/static.log" 2>&1 || {
        outer_say "the static build failed: $CXLVM_BUILD_DIR/lab/logs/static.log"
        return 1
    }
    file=$(find "$folder" -type f -name cxlvm -perm -u+x | head -1)
    if [[ -z $file ]]; then
        outer_say "the static build made no program called cxlvm in $folder"
        return 1
    fi
    echo "$file"
}

# guest_extra INNER SERIES MODULES PROGRAMS: prints the part with what the inner guests are to have
# beyond the base, an initramfs of its own.
guest_extra() {
    cached_part "extra-$2-$(sha256sum <<<"$3 $4" | cut -c1-8)" \
        "$1 $3 $4 $(sum_of "$outer_folder"/lib/{initramfs,outer}.sh)" make_extra "$1" "$3" "$4"
}

# outer_image OUTER_SERIES FOLDER SERIES...: puts together $outer_work/vmlinuz and image.cpio: the
# base, the folder's files, and the named inner kernels; with_qemu=1 adds the peer. Lists with commas:
# outer_modules and outer_programs are more for the outer machine; guest_modules and guest_programs
# for the inner ones, in the file "extra" beside each kernel's initrd.
outer_image() {
    local outer inner series folder=$2 part kernels
    local -a parts
    outer=$(lab_kernel "$1") || return 1
    cp "$outer/vmlinuz" "$outer_work/vmlinuz" || return 1
    part=$(cached_part "outer-$1" "$outer $(busybox | head -1) $(sum_of "$outer_folder"/outer/* \
        "$CXLVM_SOURCE_DIR"/tests/guest/*.cpp "$outer_folder"/lib/{initramfs,outer}.sh)" make_outer_base "$outer") || return 1
    parts=("$part")
    if [[ -n ${outer_modules:-}${outer_programs:-} ]]; then
        make_extra "$folder" "$outer" "${outer_modules:-}" "${outer_programs:-}" || return 1
    fi
    if [[ -n ${with_qemu:-} ]]; then
        part=$(cached_part qemu "$(dpkg-query -W qemu-system-x86 qemu-system-data)" make_qemu) ||
            return 1
        parts+=("$part")
    fi
    for series in "${@:3}"; do
        inner=$(lab_kernel "$series") || return 1
        kernels=$folder/lab/kernels/$series
        mkdir -p "$kernels" || return 1
        part=$(cached_part "guest-$series" "$inner $(busybox | head -1) $(sum_of \
            "$CXLVM_SOURCE_DIR"/tests/guest/{init,*.[ch]pp,jobs/*} "$outer_folder"/lib/{initramfs,outer}.sh)" \
            make_guest "$inner") || return 1
        cp "$part" "$kernels/initrd" || return 1
        if [[ -n ${guest_modules:-}${guest_programs:-} ]]; then
            part=$(guest_extra "$inner" "$series" "${guest_modules:-}" "${guest_programs:-}") ||
                return 1
            cp "$part" "$kernels/extra" || return 1
        fi
        cp -L "$inner/vmlinuz" "$kernels/bzImage" || return 1
        [[ -e $inner/vmlinux ]] || {
            vmlinux_of "$inner/vmlinuz" "$outer_work/vmlinux" &&
                mv "$outer_work/vmlinux" "$inner/vmlinux"
        } || return 1
        cp "$inner/vmlinux" "$kernels/vmlinux" || return 1
    done
    pack "$folder" "$outer_work/payload.cpio" || return 1
    cat "${parts[@]}" "$outer_work/payload.cpio" >"$outer_work/image.cpio" || return 1
    rm -f "$outer_work/payload.cpio"
}

# outer_device NAME NUMBER: prints QEMU's options for a device that scenarios pass to their guests, at
# device NUMBER of the outer machine's root bus.
outer_device() {
    case $1 in
        edu) echo "-device edu,addr=$2,dma_mask=0xffffffffffffffff" ;;
        # Of those that a guest's cloud kernel has a driver for.
        nic) echo "-netdev user,id=nic -device virtio-net-pci,addr=$2,netdev=nic,disable-legacy=on,iommu_platform=on,romfile=" ;;
        nvme)
            truncate -s 64M "$outer_work/nvme" || return 1
            echo "-drive file=$outer_work/nvme,format=raw,if=none,id=nvme -device nvme,addr=$2,drive=nvme,serial=lab"
            ;;
        *)
            outer_say "no device called $1"
            return 1
            ;;
    esac
}

# outer_command MEMORY WORDS OPTION...: sets the array outer_qemu; WORDS go to the kernel. The devices
# of the list outer_devices, with commas, come with an IOMMU.
outer_command() {
    local device number=0x10 words=$2
    local -a options=() names
    if [[ -n ${outer_devices:-} ]]; then
        # The check waits for a few ticks of the timer, which a busy host may be too slow for.
        words+=" intel_iommu=on no_timer_check"
        options=(-device "intel-iommu,intremap=on")
        IFS=, read -ra names <<<"$outer_devices"
        for device in "${names[@]}"; do
            # shellcheck disable=SC2207  # words
            options+=($(outer_device "$device" "$number")) || return 1
            number=$(printf '%#x' $((number + 1)))
        done
    fi
    outer_qemu=("${emulator[@]}" -M "q35,kernel-irqchip=split" -accel tcg -cpu "$outer_cpu" -smp 1
        -m "$1" -nodefaults -no-user-config -display none -no-reboot
        -kernel "$outer_work/vmlinuz" -initrd "$outer_work/image.cpio"
        -append "console=ttyS0 quiet panic=-1 mitigations=off $words" "${options[@]}" "${@:3}")
    if [[ -n $outer_disk ]]; then
        outer_qemu+=(-drive "file=$outer_disk,format=raw,if=none,id=disk,snapshot=on"
            -device "virtio-blk-pci,drive=disk")
    fi
    if [[ -n ${with_icount:-} ]]; then
        outer_qemu+=(-icount "shift=0,sleep=off")
    fi
    printf '%q ' "${outer_qemu[@]}" >"$outer_work/command"
}

# outer_state: the outer machine's registers, twice, and its interrupt controllers: whether it waits,
# runs or stands still when its time is over.
outer_state() {
    local question answers
    exec {answers}<>"$outer_work/monitor.out" # a FIFO forgets what nobody has open
    for question in "info registers" "info lapic" "info registers"; do
        # shellcheck disable=SC2016  # the inner shell's parameters
        timeout 5 bash -c 'echo "$1" >"$2"' monitor "$question" "$outer_work/monitor.in" || break
        sleep 0.5
    done
    timeout 2 cat <&"$answers" | tr -d '\r' | grep -v '^XMM\|^YMM\|^(qemu)' || true
    exec {answers}<&-
}

# outer_run SECONDS MEMORY WORDS: runs what image.cpio holds to its end. Its console goes to
# $outer_work/console.log, its second port to steps.log. Prints the steps as they come, and with
# VERBOSE=1 the console. Returns 1 when the time is over, and 2 when the machine stood still before:
# see README.md, "A machine that stands still".
outer_run() {
    local seconds=$1 console=$outer_work/console.log steps=$outer_work/steps.log nudge
    local -a followers=()
    : >"$console"
    : >"$steps"
    outer_command "$2" "$3" -chardev "file,id=console,path=$console,append=on" \
        -serial chardev:console \
        -chardev "file,id=steps,path=$steps,append=on,input-path=$outer_work/nudge" \
        -serial chardev:steps
    rm -f "$outer_work"/{monitor.in,monitor.out,nudge}
    mkfifo "$outer_work"/{monitor.in,monitor.out,nudge}
    exec {nudge}<>"$outer_work/nudge"
    TMPDIR=$outer_work "${outer_qemu[@]}" -chardev "pipe,id=monitor,path=$outer_work/monitor" -mon chardev=monitor \
        </dev/null 2>"$outer_work/qemu.log" &
    outer_pid=$!
    tail -q -n +1 --pid=$outer_pid -s 0.2 -f "$steps" 2>/dev/null | sed -un 's/^step: /  /p' >&2 &
    followers+=($!)
    if [[ ${VERBOSE:-} == 1 ]]; then
        tail -q -n +1 --pid=$outer_pid -s 0.2 -f "$console" >&2 &
        followers+=($!)
    fi
    local end=$((SECONDS + seconds)) late='' signs=0 seen last=$((SECONDS + outer_start_time))
    local nudged=$SECONDS
    while kill -0 "$outer_pid" 2>/dev/null; do
        # See README.md, "A machine that stands still".
        if [[ $3 != *lab_silent=* ]] && ((SECONDS > nudged)); then
            nudged=$SECONDS
            echo >&"$nudge"
        fi
        seen=$(grep -c '^alive' "$steps" || true) # grep fails where it counts none
        if ((seen != signs)); then
            signs=$seen last=$SECONDS
        fi
        if [[ $3 != *lab_silent=* ]] && ((SECONDS - last >= outer_silence)); then
            late=2
        elif ((SECONDS >= end)); then
            late=1
        fi
        if [[ -n $late ]]; then
            outer_state >>"$outer_work/qemu.log"
            kill -KILL "$outer_pid" 2>/dev/null || true # it may have ended just now
            break
        fi
        sleep 0.2
    done
    wait "$outer_pid" 2>/dev/null || true
    outer_pid=
    wait "${followers[@]}" || true
    exec {nudge}>&-
    return "${late:-0}"
}
