#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a grep can check of the project's rules.

    layering.py [ROOT]       checks every source file that git tracks (or all, without git)
    layering.py --self-test  checks that each rule finds a file that breaks it

Rules: includes follow the layers io <- memory <- devices <- vmm <- {tests, bench}; some system
headers belong to one layer; devices/{cxl,vfio,virtio,nic} do not include one another; quoted
includes are relative to the root and name a file that exists; the licence stands first; no leftover
notes to ourselves.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

LAYERS = {"io": 0, "memory": 1, "devices": 2, "vmm": 3, "tests": 4, "bench": 4}
SIBLINGS = {"devices/cxl", "devices/vfio", "devices/virtio", "devices/nic"}
# The folders that a system header belongs to; tests mirror the tree, benches measure all of it.
HEADER_OWNERS = {
    "liburing.h": ("io/", "tests/io/", "bench/"),
    "linux/kvm.h": ("vmm/kvm/",),  # kvm_abi.hpp puts it right for everybody else
    "linux/vfio.h": ("devices/vfio/", "tests/devices/vfio/", "bench/"),
}
CODE = {".cpp", ".hpp", ".c", ".h", ".S"}
SCRIPTS = {".py", ".sh", ".cmake", ".txt", ".lds"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
# Written in two halves, so that this file does not break its own rule.
NOTES = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
SPDX = "SPDX-License-Identifier: Apache-2.0"


def include_errors(root, path, text):
    folder = path.parts[0]
    for kind, name in INCLUDE.findall(text):
        if kind == "<":
            owners = HEADER_OWNERS.get(name)
            if owners and not path.as_posix().startswith(owners):
                yield f"includes <{name}>, which belongs to {owners[0]}"
            continue
        if ".." in name.split("/") or name.startswith("./"):
            yield f'includes "{name}": write it from the root'
            continue
        target = name.split("/")[0]
        if target not in LAYERS or not (root / name).is_file():
            yield f'includes "{name}", which is no file from the root'
            continue
        if LAYERS[target] > LAYERS.get(folder, 4):
            yield f'includes "{name}": {folder} may not use {target}'
        ours, theirs = "/".join(path.parts[:2]), "/".join(name.split("/")[:2])
        if ours in SIBLINGS and theirs in SIBLINGS and ours != theirs:
            yield f'includes "{name}": {ours} and {theirs} do not know one another'


def errors_of(root, path):
    text = (root / path).read_text(errors="replace")
    if path.suffix in CODE and path.parts[0] in LAYERS and "consumer" not in path.parts:
        yield from include_errors(root, path, text)
    if text and (path.suffix in CODE | SCRIPTS or text.startswith("#!")):
        if not any(SPDX in line for line in text.splitlines()[:2]):
            yield f"does not begin with '{SPDX}'"
        for number, line in enumerate(text.splitlines(), 1):
            if NOTES.search(line):
                yield f"line {number} leaves a note: say it in the issue tracker instead"


def files_of(root):
    git = subprocess.run(["git", "-C", str(root), "ls-files"], capture_output=True, text=True)
    if git.returncode == 0 and git.stdout:
        paths = [pathlib.Path(line) for line in git.stdout.splitlines()]
    else:
        paths = [p.relative_to(root) for p in sorted(root.rglob("*")) if "build" not in p.parts]
    return [p for p in paths if (root / p).is_file()]


def check(root):
    return [f"{path}: {error}" for path in files_of(root) for error in errors_of(root, path)]


def self_test():
    head = f"// {SPDX}\n"
    good = {
        "io/fd.hpp": head + "#include <liburing.h>\n",
        "memory/map.hpp": head + '#include "io/fd.hpp"\n#include <memory>\n',
        "devices/cxl/a.hpp": head + '#include "memory/map.hpp"\n',
        "devices/vfio/b.hpp": head + "#include <linux/vfio.h>\n",
        "vmm/kvm/kvm.hpp": head + '#include <linux/kvm.h>\n',
        "vmm/vm.hpp": head + '#include "devices/cxl/a.hpp"\n',
        "tests/vmm/t.cpp": head + '#include "vmm/vm.hpp"\n',
        "tests/run.sh": f"#!/bin/sh\n# {SPDX}\n",
    }
    bad = {
        "io/up.hpp": (head + '#include "memory/map.hpp"\n', "io may not use memory"),
        "memory/up.hpp": (head + '#include "vmm/vm.hpp"\n', "memory may not use vmm"),
        "devices/up.hpp": (head + '# include "tests/vmm/t.cpp"\n', "devices may not use tests"),
        "devices/kvm.hpp": (head + "#include <linux/kvm.h>\n", "belongs to vmm/kvm/"),
        "vmm/kvm.hpp": (head + "#include <linux/kvm.h>\n", "belongs to vmm/kvm/"),
        "vmm/vfio.hpp": (head + "#include <linux/vfio.h>\n", "belongs to devices/vfio/"),
        "tests/memory/r.cpp": (head + "#include <liburing.h>\n", "belongs to io/"),
        "devices/cxl/v.hpp": (head + '#include "devices/vfio/b.hpp"\n', "do not know one another"),
        "vmm/rel.hpp": (head + '#include "../io/fd.hpp"\n', "write it from the root"),
        "vmm/bare.hpp": (head + '#include "vm.hpp"\n', "no file from the root"),
        "vmm/gone.hpp": (head + '#include "vmm/gone2.hpp"\n', "no file from the root"),
        "vmm/licence.hpp": ("#pragma once\n", "does not begin with"),
        "vmm/note.cpp": (head + "// TO" + "DO later\n", "line 2 leaves a note"),
    }
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, text in good.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        failures = [f"wrongly reported: {error}" for error in check(root)]
        for path, (text, expected) in bad.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            found = [error for error in check(root) if error.startswith(path + ":")]
            if len(found) != 1 or expected not in found[0]:
                failures.append(f"{path}: expected '{expected}', got {found}")
            (root / path).unlink()
    return failures


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        errors = self_test()
    else:
        errors = check(pathlib.Path(arguments[0] if arguments else ".").resolve())
    print("\n".join(errors) if errors else "no errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
