"""Writes bench/tests/data/reference.json: what numpy and scipy say of random numbers, for
bench/tests/reference.rs to agree with. Run it again only to change the cases:

    python3 -m pip install numpy scipy && python3 bench/tests/reference.py
"""

import json
import math
import pathlib

import numpy
import scipy
import scipy.stats

random = numpy.random.default_rng(20261126)


def middle(index):
    """plat_idx_to_val of fio's stat.c, in its own words."""
    if index < 128:
        return index
    error_bits = (index >> 6) - 1
    base = 1 << (error_bits + 6)
    return int(base + (index % 64 + 0.5) * (1 << error_bits))


def sample(size):
    return [round(float(x), 6) for x in random.lognormal(8, 0.3, size)]


def samples():
    for size in (2, 3, 5, 8, 31, 200):
        values = sample(size)
        parts = [0.0, 0.025, 0.1, 0.5, 0.9, 0.975, 1.0]
        yield {
            "values": values,
            "mean": numpy.mean(values),
            "deviation": numpy.std(values, ddof=1),
            "variation": scipy.stats.variation(values, ddof=1),
            "quantiles": [[p, numpy.quantile(values, p)] for p in parts],
        }


def histograms():
    """Two reports of the same job, and the percentiles of all their samples together."""
    for size in (1, 40, 3000):
        reports = []
        for _ in range(2):
            bins = random.integers(400, 900, size)
            counts = numpy.bincount(bins)
            reports.append([[middle(i), int(c)] for i, c in enumerate(counts) if c])
        samples = numpy.repeat(*zip(*[(v, c) for report in reports for v, c in report]))
        parts = [1, 100, 500, 900, 990, 999, 1000]
        yield {
            "reports": reports,
            "percentiles": [
                [p, int(numpy.percentile(samples, p / 10, method="inverted_cdf"))] for p in parts
            ],
            "p99_99": int(numpy.percentile(samples, 99.99, method="inverted_cdf")),
            "mean": numpy.mean(samples),
        }


def series():
    for size in (6, 25, 60):
        x = numpy.arange(size)
        y = 1000 + random.normal(0, 50, size) + random.normal(0, 4) * x
        yield {
            "values": y.tolist(),
            "slope": numpy.polyfit(x, y, 1)[0],
            "drift": scipy.stats.theilslopes(y, x)[0] * (size - 1) / numpy.median(y),
        }


def student():
    for freedom in (1, 2, 2.7, 4, 9.5, 30, 500):
        for tail in (0.25, 0.05, 0.025, 0.0005, 0.000005):
            yield [tail, freedom, scipy.stats.t.isf(tail, freedom)]


def comparisons():
    """The interval by the same rule with another generator and many more draws, and Welch's test."""
    for size in (6, 8, 12):
        base, new = sample(size), [x * 1.07 for x in sample(size)]
        low, high = numpy.log(base), numpy.log(new)
        draw = lambda values: random.choice(values, (200_000, size)).mean(axis=1)
        draws = draw(high) - draw(low)
        t = scipy.stats.t.isf(0.025, size - 1)
        tail = scipy.stats.norm.cdf(-t * math.sqrt(size / (size - 1)))
        test = scipy.stats.ttest_ind(high, low, equal_var=False)
        interval = test.confidence_interval(0.95)
        yield {
            "base": base,
            "new": new,
            "ratio": math.exp(high.mean() - low.mean()),
            "interval": [math.exp(numpy.quantile(draws, p)) for p in (tail, 1 - tail)],
            "noise_floor": math.expm1((interval.high - interval.low) / 2),
        }


reference = {
    "made_by": f"numpy {numpy.__version__}, scipy {scipy.__version__}",
    "middles": [middle(index) for index in range(29 * 64)],
    "samples": list(samples()),
    "histograms": list(histograms()),
    "series": list(series()),
    "student": list(student()),
    "normal": [[x, scipy.stats.norm.cdf(x)] for x in (-6.0, -3.1, -1.2, -0.4, 0.0, 0.7, 2.5)],
    "comparisons": list(comparisons()),
}
place = pathlib.Path(__file__).parent / "data" / "reference.json"
place.write_text(json.dumps(reference) + "\n")
