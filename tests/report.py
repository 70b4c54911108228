#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums up what tests/run.sh has run.

    report.py RESULTS_FOLDER

The folder holds, for each stage: STAGE.xml (ctest --output-junit) with STAGE.gtest/ (GTEST_OUTPUT),
and the file verdicts: lines "STAGE NAME PASS", "STAGE NAME SKIP why" or "STAGE NAME FAIL why" of
what is no ctest. A GoogleTest program counts as its cases; it counts as one failure more when it
failed without a case that did: a crash, a time-out, a leak found at the end. The last line is
"N passed, N failed, N skipped"; the exit code is 1 when something failed or nothing ran.
"""
import collections
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

Result = collections.namedtuple("Result", "stage name outcome why")


def first_line(text):
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[0] if lines else ""


def gtest_results(stage, file):
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        failure, skipped = case.find("failure"), case.find("skipped")
        if failure is not None:
            yield Result(stage, name, "failed", first_line(failure.get("message")))
        elif skipped is not None or case.get("result") == "skipped":
            why = skipped.get("message") if skipped is not None else ""
            lines = [line for line in (why or "").splitlines() if line.strip()]
            yield Result(stage, name, "skipped", lines[-1] if lines else "no reason given")
        elif case.get("status") == "run":
            yield Result(stage, name, "passed", "")
        else:
            yield Result(stage, name, "skipped", "disabled")


def entry_result(stage, entry):
    name, status = entry.get("name"), entry.get("status")
    if status == "run":
        return Result(stage, name, "passed", "")
    skipped = entry.find("skipped")
    message = skipped.get("message", "") if skipped is not None else ""
    if status != "fail" and message.startswith("SKIP_"):
        output = entry.findtext("system-out") or ""
        return Result(stage, name, "skipped", first_line(output) or "no reason given")
    failure = entry.find("failure")
    why = failure.get("message", "") if failure is not None else message
    return Result(stage, name, "failed", why or "not run")


def stage_results(file):
    stage = file.stem
    for entry in ElementTree.parse(file).getroot().iter("testcase"):
        result = entry_result(stage, entry)
        cases_file = file.with_suffix(".gtest") / f"{entry.get('name')}.xml"
        try:
            cases = list(gtest_results(stage, cases_file)) if cases_file.exists() else []
        except ElementTree.ParseError:
            cases = []  # cut short by a crash: the entry itself has failed
        if not cases:
            yield result
            continue
        yield from cases
        if result.outcome == "failed" and not any(c.outcome == "failed" for c in cases):
            yield result


def verdicts(file):
    outcomes = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
    for line in file.read_text().splitlines():
        stage, name, verdict, *why = line.split(" ", 3)
        yield Result(stage, name, outcomes[verdict], why[0] if why else "")


def collect(folder):
    results = []
    for file in sorted(folder.glob("*.xml")):
        results += stage_results(file)
    if (folder / "verdicts").exists():
        results += verdicts(folder / "verdicts")
    return results


def main():
    results = collect(pathlib.Path(sys.argv[1]))
    count = collections.Counter((r.stage, r.outcome) for r in results)
    for stage in dict.fromkeys(r.stage for r in results):
        print(f"  {stage:<16}" + ", ".join(
            f"{count[stage, o]} {o}" for o in ("passed", "failed", "skipped") if count[stage, o]))
    for outcome in ("skipped", "failed"):
        for r in results:
            if r.outcome == outcome:
                print(f"{outcome}: {r.stage}: {r.name}{': ' if r.why else ''}{r.why}")
    total = collections.Counter(r.outcome for r in results)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
