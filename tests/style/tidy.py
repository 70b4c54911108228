#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the C++ files of a compile_commands.json, and remembers what was clean.

    tidy.py [--seconds N] BUILD_FOLDER [FILE...]

A file is checked again only when its preprocessed text (comments included: they hold the
suppressions), the checks, the command or clang-tidy itself has changed. What was clean is noted in
BUILD_FOLDER/tidy-cache, so a second run costs the preprocessing alone.

--seconds bounds the time in which checks are begun: the library comes first, then tests and benches;
the files that were not reached are counted, and a next run goes on with them. The library is always
checked whole, however long that takes.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = tuple(f"{ROOT}/{folder}/" for folder in ("io", "memory", "devices", "vmm"))


def path_of(entry):
    return str(pathlib.Path(entry["directory"], entry["file"]).resolve())


def is_library(entry):
    return path_of(entry).startswith(LIBRARY)


def preprocessed(entry):
    """The text that the compiler sees, with comments."""
    words = shlex.split(entry["command"])
    command = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "-o":
            skip = True
        elif word != "-c":
            command.append(word)
    # Line markers hold paths of the build folder only; leaving them out keeps the key stable.
    result = subprocess.run(command + ["-E", "-C", "-P"], cwd=entry["directory"],
                            capture_output=True)
    return result.stdout if result.returncode == 0 else None


def key_of(entry, salt):
    text = preprocessed(entry)
    if text is None:
        return None
    return hashlib.sha256(salt + entry["command"].encode() + text).hexdigest()


def check(entry, build, cache, salt, deadline):
    """Messages of one file; empty when it is clean, None when there was no time for it."""
    key = key_of(entry, salt)
    if key and (cache / key).exists():
        return ""
    if time.monotonic() > deadline and not is_library(entry):
        return None
    result = subprocess.run(["clang-tidy", "-p", str(build), "--quiet", entry["file"]],
                            capture_output=True, text=True)
    if result.returncode == 0:
        if key:
            (cache / key).touch()
        return ""
    return result.stdout + "\n".join(
        line for line in result.stderr.splitlines() if "warnings generated" not in line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("build")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    if os.environ.get("FULL") == "1":
        deadline = float("inf")
    elif not options.files:
        print("clang-tidy takes ten minutes and more: FULL=1 runs it, or name files")
        return 77
    build = pathlib.Path(options.build).resolve()
    wanted = {str(pathlib.Path(name).resolve()) for name in options.files}
    commands = build / "compile_commands.json"
    if not commands.exists():
        subprocess.run(["cmake", "--preset", build.name], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    known = {str(ROOT / line) for line in tracked.stdout.splitlines()}
    entries = {}
    for entry in json.loads(commands.read_text()):
        path = path_of(entry)
        # Generated files and C are none of our checks' business; one entry a file is enough.
        if path.endswith(".cpp") and path in (wanted or known):
            entries.setdefault(path, entry)
    if not entries:
        print(f"{commands} names no file of ours")
        return 1
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    salt = version + b"".join((ROOT / name).read_bytes()
                              for name in (".clang-tidy", "tests/.clang-tidy"))
    cache = build / "tidy-cache"
    cache.mkdir(exist_ok=True)
    failed = unreached = 0
    ordered = sorted(entries.values(), key=lambda e: not is_library(e))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for message in pool.map(lambda e: check(e, build, cache, salt, deadline), ordered):
            if message is None:
                unreached += 1
            elif message:
                failed += 1
                print(message, flush=True)
    print(f"{len(entries)} files, {failed} with findings, {unreached} not checked for want of time")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
