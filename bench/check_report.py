#!/usr/bin/env python3
"""Recomputes from fio's own reports what a result file has of them, and holds the page against it.

    python3 bench/check_report.py out/result.json [out/report.html]

Recomputed are requests, IOPS, bandwidth, the histogram and its percentiles; that a run's series and its clean and
faulted requests add up to its requests; and on the page the median IOPS, p50, p99 and p99.99 of every cell. Pins, CPU
time, marks and which requests are faulted are not in fio's reports. It shares no code with the programs, and needs only Python. Ends with 1 if something does not agree.
"""

import html
import json
import math
import pathlib
import re
import statistics
import sys


def wanted(direction):
    return {"destination": ["read"], "source": ["write"], "mixed": ["read", "write"]}[direction]


def percentile(bins, part):
    """Nearest rank over all samples."""
    rank = math.ceil(sum(bins.values()) * part)
    seen = 0
    for value in sorted(bins):
        seen += bins[value]
        if seen >= rank:
            return value
    return 0


def check_run(place, run, wrong):
    report = json.loads((place / run["raw"]).read_text())
    (job,) = report["jobs"]
    sections = [job[name] for name in wanted(run["direction"])]
    bins = {}
    for section in sections:
        for value, count in section["clat_ns"].get("bins", {}).items():
            bins[int(value)] = bins.get(int(value), 0) + count
    expected = {
        "ios": job["read"]["total_ios"] + job["write"]["total_ios"],
        "iops": sum(section["iops"] for section in sections),
        "bandwidth_bytes_per_s": sum(section["bw_bytes"] for section in sections),
    }
    for part, key in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99_9"), (0.9999, "p99_99")]:
        found = run["percentiles_ns"][key]
        if found != percentile(bins, part):
            wrong.append(f"{run['raw']}: {key} is {found}, should be {percentile(bins, part)}")
    for key, value in expected.items():
        if not math.isclose(run[key], value, rel_tol=1e-9):
            wrong.append(f"{run['raw']}: {key} is {run[key]}, should be {value}")
    if dict(map(tuple, run["histogram"])) != bins:
        wrong.append(f"{run['raw']}: the histogram is another one")
    # fio's own percentiles, where there is one direction, are those of its bins.
    if len(sections) == 1 and "percentile" in sections[0]["clat_ns"]:
        for key, ours in [("50.000000", "p50"), ("99.000000", "p99"), ("99.990000", "p99_99")]:
            own = sections[0]["clat_ns"]["percentile"][key]
            if run["percentiles_ns"][ours] != own:
                wrong.append(f"{run['raw']}: {ours} is not fio's own {own}")
    # What the series says was done is about what was done; its ends are cut.
    series = run["series"]
    if len(series["iops"]) > 4 and run["ios"] > 1000:
        done = sum(series["iops"]) * series["interval_ns"] / 1e9
        if not 0.5 < done / run["ios"] < 1.5:
            wrong.append(f"{run['raw']}: the series has {done:.0f} requests of {run['ios']}")
    if "split" in run:
        split = run["split"]
        if split["clean"]["ios"] + split["faulted"]["ios"] + split.get("drained", 0) != run["ios"]:
            wrong.append(f"{run['raw']}: clean, faulted and drained requests are not all requests")


def short(value):
    """As the page writes a rate."""
    for unit, word in [(1e9, "G"), (1e6, "M"), (1e3, "k")]:
        if abs(value) >= unit * 0.9995:
            return three(value / unit) + word
    return three(value)


def time(ns):
    """As the page writes a time."""
    for unit, word in [(1e9, " s"), (1e6, " ms"), (1e3, " µs")]:
        if abs(ns) >= unit * 0.9995:
            return three(ns / unit) + word
    return three(ns) + " ns"


def three(value):
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    text = f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def check_page(record, page, wrong):
    for word in ["http:", "https:", "<script", "src="]:
        if word in page:
            wrong.append(f"the page has {word}")
    table = page[page.index("<h2>Every cell</h2>"):]
    heads = re.findall(r"<th>(.*?)</th>", table[: table.index("</thead>")], re.S)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)]
    # The job, IOPS, and p50, p99, p99.99 of all runs' requests together.
    shown = [heads.index(head) for head in ["job", "IOPS", "p50", "p99", "p99.99"]]
    rows = [tuple(row[column] for column in shown) for row in rows if len(row) == len(heads)]
    for cell in record["cells"]:
        median = short(statistics.median(run["iops"] for run in cell["runs"]))
        name = cell["job"] + (" with " + ", ".join(cell["faults"]) if cell.get("faults") else "")
        bins = {}
        for run in cell["runs"]:
            for value, count in run["histogram"]:
                bins[value] = bins.get(value, 0) + count
        late = time(percentile(bins, 0.9999)) if sum(bins.values()) >= 10_000 else "-"
        row = (html.escape(name, quote=False), median, *(time(percentile(bins, part)) for part in (0.5, 0.99)), late)
        if row not in rows:
            wrong.append(f"the page has no row {row}")


def main():
    file = pathlib.Path(sys.argv[1])
    record = json.loads(file.read_text())
    wrong = []
    runs = 0
    for cell in record["cells"]:
        for run in cell["runs"]:
            check_run(file.parent, run, wrong)
            runs += 1
    if len(sys.argv) > 2:
        check_page(record, pathlib.Path(sys.argv[2]).read_text(), wrong)
    for line in wrong:
        print(line)
    print(f"{runs} runs checked, {len(wrong)} differences")
    sys.exit(1 if wrong or not runs else 0)


main()
