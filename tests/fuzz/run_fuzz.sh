#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_fuzz.sh TARGET WORK SEEDS: fuzzes for 10 seconds, or for 600 when FULL=1. WORK keeps the
# corpus that grows and any input that crashed; SEEDS is copied into it when it exists.
set -eu
target=$1
work=$2
seeds=$3

seconds=10
if [ "${FULL:-0}" = 1 ]; then
    seconds=600
fi
mkdir -p "$work/corpus"
if [ -d "$seeds" ]; then
    cp -R "$seeds/." "$work/corpus/"
fi
exec "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$work/" "$work/corpus"
