# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian packages that a script needs, installed when they are missing. To be sourced.

# Runs a command as root, through sudo where needed.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages: '$*' needs root: run it as root, or install sudo" >&2
        return 1
    fi
}

# Prints those of the named packages that are not installed, one on each line.
missing_packages() {
    local package
    for package in "$@"; do
        if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
            echo "$package"
        fi
    done
}

# need_packages WHY PACKAGE...: installs the packages that are missing, and says which and why.
# Silent when nothing is missing.
need_packages() {
    local why=$1 apt missing
    shift
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "packages: this is no Debian: install the equivalents of $* ($why)" >&2
        return 1
    fi
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} > 0)) || return 0
    echo "packages: installing ${missing[*]}: $why" >&2
    apt=(apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 -o Acquire::Retries=5)
    # A source of the user's that does not answer need not be the one that we want.
    as_root "${apt[@]}" update >&2 || echo "packages: apt-get update failed, trying anyway" >&2
    if ! as_root env DEBIAN_FRONTEND=noninteractive \
        "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null; then
        echo "packages: cannot install ${missing[*]}: install by hand and start again" >&2
        return 1
    fi
}
