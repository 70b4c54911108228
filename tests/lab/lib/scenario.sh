# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Reads the headers of scenarios/*.sh: a line "# Purpose: TEXT" and a line "# Needs: KEY=VALUE ...".
# To be sourced.
#   memory=MIB    of the outer machine (3072)
#   time=SECONDS  until it counts as hung (180); about five times what it takes on two idle cores
#   kernels=LIST  inner kernels, 6.1 and 7, with commas (6.1)
#   outer=SERIES  the outer machine's own kernel (6.1)
#   guest_modules=LIST, guest_programs=LIST
#                 more modules and Debian's programs for the inner guests, with commas; they are in
#                 $kernels/SERIES/extra, an initrd to be given behind the other
#   outer_modules=LIST, outer_programs=LIST
#                 the same for the outer machine
#   devices=LIST  PCI devices of the outer machine to be passed, with commas, from 00:10.0 on, and an
#                 IOMMU: edu, nic, nvme
#   disk=debian   the outer machine's /dev/vda is a disk with Debian on it, which is as new in each run;
#                 debian/initrd starts it

: "${scenario_folder:=$CXLVM_SOURCE_DIR/tests/lab/scenarios}"

scenario_names() {
    local file
    for file in "$scenario_folder"/*.sh; do
        basename "$file" .sh
    done
}

scenario_exists() { [[ $1 != */* && -e $scenario_folder/$1.sh ]]; }

# scenario_need NAME KEY DEFAULT
scenario_need() {
    local word words
    read -ra words <<<"$(sed -n 's/^# Needs: //p' "$scenario_folder/$1.sh")"
    for word in "${words[@]}"; do
        if [[ $word == "$2="* ]]; then
            echo "${word#*=}"
            return
        fi
    done
    echo "$3"
}

scenario_list() {
    local name
    while read -r name; do
        printf '%-10s %s\n' "$name" \
            "$(sed -n 's/^# Purpose: //p' "$scenario_folder/$name.sh")"
    done < <(scenario_names)
}
