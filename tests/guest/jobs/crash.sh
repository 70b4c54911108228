#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes and syncs until somebody ends the VMM. words=direct: past the guest's page cache.
# shellcheck disable=SC2086  # a word, or none
synced_writes write /dev/vda ${words:-}
