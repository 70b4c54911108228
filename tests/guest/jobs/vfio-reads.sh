#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Reads from the passed NVMe drive, one command of 4 KiB after the other.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/nvme0n1 ] || sleep 0.5
done
dd if=/dev/nvme0n1 of=/dev/null bs=4k count="${reads:?}" iflag=direct 2>/dev/null ||
    echo "reads: wrong"
echo "reads: $reads done"
