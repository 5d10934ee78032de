"""Ticks and labels of a chart: few, round and never over one another."""

from __future__ import annotations

import math

_NICE = (1.0, 2.0, 5.0, 10.0)
_THOUSAND, _MILLION = 1_000, 1_000_000


def short_number(value: float) -> str:
    """A number in as few characters as a tick label needs: `0.05`, `2`, `1e-05`, `25k`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= _MILLION:
        return f"{value / _MILLION:.3g}M" if size < 1000 * _MILLION else f"{value:.2g}"
    if size >= 10 * _THOUSAND:
        return f"{value / _THOUSAND:.3g}k"
    if size >= _THOUSAND:
        return f"{value:.0f}"
    return f"{value:.3g}"


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """At most `count` round values in [low, high], evenly spaced by 1, 2 or 5 × 10^k."""
    if count < 1 or not high > low:
        return []
    raw = (high - low) / count
    if not 1e-300 < raw < 1e300:
        return []
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (*_NICE, 20.0):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= count:
            return [index * step for index in range(first, last + 1)]
    return []


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """At most `count` round values in [low, high], low > 0, spread over a logarithmic axis."""
    if count < 1 or not 0 < low < high:
        return []
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [factor * 10.0**k for k in decades for factor in factors]
        inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if 2 <= len(inside) <= count:
            return inside
    whole = [k for k in decades if low * (1 - 1e-9) <= 10.0**k <= high * (1 + 1e-9)]
    if len(whole) > count:
        return [10.0**k for k in whole[:: -(-len(whole) // count)]]
    return linear_ticks(low, high, count)


def step_ticks(low: float, high: float, count: int) -> list[int]:
    """At most `count` round whole steps in [low, high]."""
    ticks = linear_ticks(low, high, count)
    return sorted({round(tick) for tick in ticks if abs(tick - round(tick)) < 1e-6})


def place_labels(labels: list[tuple[int, str]], width: int) -> list[tuple[int, str]]:
    """Keep of (centre, text) those that fit side by side in `width` cells; gives (start, text).

    The last label is kept before all others: it is the newest.
    """
    placed: list[tuple[int, str]] = []
    edge = width + 1
    for centre, text in reversed(labels):
        start = min(max(centre - len(text) // 2, 0), width - len(text))
        if start >= 0 and start + len(text) < edge:
            placed.append((start, text))
            edge = start
    return placed[::-1]
