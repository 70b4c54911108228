#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the README's program is the one that the installation test builds and runs.

    readme.py [ROOT]
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
shown = re.search(r"^```cpp\n(.*?)^```", (root / "README.md").read_text(), re.DOTALL | re.MULTILINE)
built = (root / "tests/install/consumer/main.cpp").read_text()
without_licence = built.split("\n", 1)[1]
if not shown or shown.group(1) != without_licence:
    print("README.md shows another program than tests/install/consumer/main.cpp")
    sys.exit(1)
