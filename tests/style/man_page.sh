#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks that the man page lists the options that the program's help lists, and the reverse.
#   man_page.sh CXLVM MAN_PAGE
set -euo pipefail
cxlvm=$1 man_page=$2

# An option is listed where a line begins with it; mentions in running text do not count.
in_help() {
    local command
    for command in '' run check; do
        "$cxlvm" ${command:+"$command"} --help
    done | sed -nE 's/^ *(--[a-z-]+).*/\1/p' | sort -u
}
in_man_page() {
    sed -nE 's/^\\fB((\\-|[a-z])+).*/\1/p' "$man_page" | sed -n 's/\\//g; /^--/p' | sort -u
}

if ! diff <(in_help) <(in_man_page); then
    echo "< only in the help, > only in $man_page"
    exit 1
fi
echo "$(in_help | wc -l) options in both"
