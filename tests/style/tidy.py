#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the C++ files of a compile_commands.json, and remembers what was clean.

    tidy.py BUILD_FOLDER [FILE...]

Without names: the library and the command line, and with FULL=1 in the environment tests and benches
too. Findings are printed file by file as they come, and twice a minute how far the work is.

A file is checked again only when its preprocessed text (comments included: they hold the
suppressions), the checks, the command or clang-tidy itself has changed. What was clean is noted in
BUILD_FOLDER/tidy, so a second run costs the preprocessing alone.
"""
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
PROGRESS_SECONDS = 30


def path_of(entry):
    return str(pathlib.Path(entry["directory"], entry["file"]).resolve())


def chosen(commands, names):
    """The entries to check by path: the first of each file, since a fuzzed build repeats them all.

    Generated files and C are none of our checks' business.
    """
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True,
                             check=True)
    wanted = {str(pathlib.Path(name).resolve()) for name in names}
    if not wanted:
        wanted = {str(ROOT / line) for line in tracked.stdout.splitlines()}
        if os.environ.get("FULL") != "1":
            wanted = {path for path in wanted if path.startswith(LIBRARY)}
    entries = {}
    for entry in json.loads(commands.read_text()):
        path = path_of(entry)
        if path.endswith(".cpp") and path in wanted:
            entries.setdefault(path, entry)
    return entries


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


def check(path, entry, notes, salt):
    """Messages of one file; empty when it is clean."""
    key = key_of(entry, salt)
    if key and (notes / key).exists():
        return ""
    result = subprocess.run(["clang-tidy", "-p", str(notes), "--quiet", path],
                            capture_output=True, text=True)
    if result.returncode == 0:
        if key:
            (notes / key).touch()
        return ""
    return result.stdout + "\n".join(
        line for line in result.stderr.splitlines() if "warnings generated" not in line)


def check_all(entries, notes, salt):
    """Checks on every processor; the number of files with findings."""
    failed = done = 0
    begun = said = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = {pool.submit(check, path, entry, notes, salt): path
                for path, entry in entries.items()}
        for future in concurrent.futures.as_completed(work):
            done += 1
            if future.result():
                failed += 1
                print(f"== {os.path.relpath(work[future], ROOT)}\n{future.result()}", flush=True)
            now = time.monotonic()
            if now - said >= PROGRESS_SECONDS:
                said = now
                print(f"clang-tidy: {done} of {len(entries)} files, {failed} with findings, "
                      f"{now - begun:.0f} s", flush=True)
    return failed


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    commands = build / "compile_commands.json"
    if not commands.exists():
        subprocess.run(["cmake", "--preset", build.name], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    entries = chosen(commands, sys.argv[2:])
    if not entries:
        print(f"{commands} names no file of ours")
        return 1
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    salt = version + b"".join((ROOT / name).read_bytes()
                              for name in (".clang-tidy", "tests/.clang-tidy"))
    notes = build / "tidy"
    notes.mkdir(exist_ok=True)
    # clang-tidy checks a file once for every entry that names it.
    (notes / "compile_commands.json").write_text(json.dumps(list(entries.values())))
    failed = check_all(entries, notes, salt)
    print(f"{len(entries)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
