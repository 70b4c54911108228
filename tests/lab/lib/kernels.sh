# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Stock Debian kernels, fetched with apt and unpacked, never installed. To be sourced after
# packages.sh.
#
#   debian_kernel bookworm 6.1            prints a folder with: vmlinuz, release (one line),
#   debian_kernel trixie-backports 7      lib/modules/RELEASE with modules.dep
#
# Lists and packages live under CXLVM_KERNEL_DIR; the system's own apt state is only read, for the
# mirror that it names. Lists older than a day are refreshed, and a newer kernel is then taken.

: "${CXLVM_KERNEL_DIR:=${CXLVM_BUILD_DIR:?set it before sourcing kernels.sh}/lab/kernels}"
: "${CXLVM_DEBIAN_KEYRING:=/usr/share/keyrings/debian-archive-keyring.gpg}"

kernels_say() { echo "kernels: $*" >&2; }

# retry COMMAND...: up to four tries, with pauses of 2, 4 and 8 seconds.
retry() {
    local pause
    for pause in 2 4 8; do
        "$@" && return 0
        kernels_say "failed, again in $pause s: $*"
        sleep "$pause"
    done
    "$@"
}

# debian_mirror [SUFFIX]: the URI that the system's own sources give for its release (SUFFIX empty)
# or for release-SUFFIX. CXLVM_DEBIAN_MIRROR overrides the former.
debian_mirror() {
    local suffix=${1:-} codename targets uri release
    if [[ -z $suffix && -n ${CXLVM_DEBIAN_MIRROR:-} ]]; then
        echo "$CXLVM_DEBIAN_MIRROR"
        return
    fi
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016  # apt expands these
    targets=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' 2>/dev/null)
    while read -r uri release; do
        case $release in
            "$codename$suffix" | stable"$suffix" | oldstable"$suffix")
                echo "$uri"
                return
                ;;
        esac
    done <<<"$targets"
    return 1
}

# suite_apt SUITE PROGRAM ARGUMENT...: apt-get or apt-cache on that suite alone.
suite_apt() {
    local suite=$1 program=$2 state
    shift 2
    state=$CXLVM_KERNEL_DIR/apt/$suite
    "$program" -qq \
        -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
        -o Dir::State::status=/dev/null -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=5 "$@"
}

# Makes or refreshes the lists of a suite. Old lists do when the network does not.
suite_lists() {
    local suite=$1 state mirror security
    state=$CXLVM_KERNEL_DIR/apt/$suite
    if [[ -n $(find "$state/stamp" -mmin -1440 2>/dev/null) ]]; then
        return
    fi
    if [[ ! -r $CXLVM_DEBIAN_KEYRING ]]; then
        kernels_say "no $CXLVM_DEBIAN_KEYRING: install debian-archive-keyring"
        return 1
    fi
    if ! mirror=$(debian_mirror); then
        kernels_say "apt's sources name no Debian mirror: set CXLVM_DEBIAN_MIRROR=URI"
        return 1
    fi
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" || return 1
    {
        echo "deb [signed-by=$CXLVM_DEBIAN_KEYRING] $mirror $suite main"
        # The newest kernel of a stable release is in its security archive.
        if [[ $suite != *-* ]] && security=$(debian_mirror -security); then
            echo "deb [signed-by=$CXLVM_DEBIAN_KEYRING] $security $suite-security main"
        fi
    } >"$state/sources.list" || return 1
    kernels_say "reading the package lists of $suite"
    if retry suite_apt "$suite" apt-get update >&2; then
        touch "$state/stamp"
    elif [[ -e $state/stamp ]]; then
        kernels_say "no network: going on with the lists of $(date -r "$state/stamp" +%F)"
    else
        kernels_say "cannot read the package lists of $suite from $mirror"
        return 1
    fi
}

# newest_release SERIES NAME...: of the kernel package names, the newest release of the series
# ("6.1" or "7"), or the newest of all when the series is gone.
newest_release() {
    local series=$1 releases
    shift
    releases=$(printf '%s\n' "$@" |
        sed -nE 's/^linux-(image|binary)-([0-9].*-cloud-amd64)$/\2/p' | sort -Vu)
    { grep -E "^${series//./\\.}\\." <<<"$releases" || echo "$releases"; } | tail -1
}

# debian_kernel SUITE SERIES: see the top of the file.
debian_kernel() (
    suite=$1 series=$2
    mkdir -p "$CXLVM_KERNEL_DIR" || exit 1
    exec 9>"$CXLVM_KERNEL_DIR/lock" || exit 1
    flock 9 || exit 1
    suite_lists "$suite" || exit 1
    mapfile -t names < <(suite_apt "$suite" apt-cache pkgnames linux-)
    release=$(newest_release "$series" "${names[@]}")
    if [[ -z $release ]]; then
        kernels_say "no cloud kernel in $suite"
        exit 1
    fi
    # Since 7.x a kernel comes in parts; linux-image only depends on them.
    packages=()
    for name in "${names[@]}"; do
        case $name in
            "linux-binary-$release" | "linux-modules-$release" | "linux-base-$release")
                packages+=("$name")
                ;;
        esac
    done
    ((${#packages[@]} > 0)) || packages=("linux-image-$release")
    version=$(suite_apt "$suite" apt-cache show --no-all-versions "${packages[0]}" |
        sed -n 's/^Version: //p')
    target=$CXLVM_KERNEL_DIR/${release}_$version
    if [[ ! -e $target/release ]]; then
        need_packages "to index the modules of a kernel that is not installed" kmod || exit 1
        kernels_say "fetching $release ($version) of $suite"
        work=$(mktemp -d "$CXLVM_KERNEL_DIR/work.XXXXXX") || exit 1
        trap 'rm -rf "$work"' EXIT
        mkdir "$work/packages" "$work/root" || exit 1
        (cd "$work/packages" && retry suite_apt "$suite" apt-get download "${packages[@]}" >&2) ||
            exit 1
        for package in "$work"/packages/*.deb; do
            dpkg -x "$package" "$work/root" || exit 1
        done
        # Newer packages keep modules, and some the image, below /usr only.
        if [[ ! -e $work/root/lib/modules ]]; then
            mkdir -p "$work/root/lib" &&
                mv "$work/root/usr/lib/modules" "$work/root/lib/modules" || exit 1
        fi
        image=$(find "$work/root" -name 'vmlinuz*' -type f | head -1)
        if [[ -z $image ]]; then
            kernels_say "no vmlinuz in ${packages[*]}"
            exit 1
        fi
        ln -s "${image#"$work/root/"}" "$work/root/vmlinuz" || exit 1
        PATH=$PATH:/sbin:/usr/sbin depmod -b "$work/root" "$release" || exit 1
        echo "$release" >"$work/root/release" || exit 1
        rm -rf "$target"
        mv "$work/root" "$target" || exit 1
    fi
    echo "$target"
)

# module_files KERNEL MODULE...: the files of the modules and of all that they need, in the order of
# insertion, each once. Modules that are built in give no line. One that the kernel does not have is
# an error, and none is printed.
module_files() {
    local kernel=$1 release module found files=''
    shift
    release=$(<"$kernel/release")
    for module in "$@"; do
        found=$(PATH=$PATH:/sbin:/usr/sbin modprobe -d "$kernel" -S "$release" --show-depends \
            "$module" 2>/dev/null) || {
            kernels_say "kernel $release has no module $module: correct the name, or take another kernel"
            return 1
        }
        files+=$(sed -n 's/^insmod //p' <<<"$found" | sed 's/[[:space:]]*$//')$'\n'
    done
    awk 'NF && !seen[$0]++' <<<"$files"
}
