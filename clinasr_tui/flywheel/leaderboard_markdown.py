"""The leaderboard as a Markdown report, and back (method, section 2: five sections in this order).

The tables are for people; the figures in full precision stand in one comment at the end, which is
what makes reading back exact. A report without the comment (another tool's) is read by its tables.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.leaderboard import METRICS, GroupFigure, Leaderboard, TermFigure, ipa_source_gap
from clinasr_tui.flywheel.markdown_cells import Table, escape, row, tables, unescape
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.resampling import Interval

MARK = "clinasr-tui:leaderboard"
_COMMENT = re.compile(rf"^<!-- {MARK} (.*) -->\r?$", re.MULTILINE)
_METRIC = re.compile(r"\b(wer|cer|ker|ser)\b", re.IGNORECASE)
_COUNT_HEADERS = ("n", "rows", "count", "samples", "utterances")
# What a heading or a first column says, and the section it means; another tool may put it otherwise.
_SECTION_WORDS = (
    ("ipa", "ipa_source"),
    ("pronunciation", "ipa_source"),
    ("noise", "noise_level"),
    ("categor", "entity_category"),
    ("term", "term"),
)
_REWRITE = "Delete this line to take the tables, or write the file again with `clinasr-tui score --out`"
_INTERVAL = "95 % interval"
_LIMITS = re.compile(r"([01]\.\d+) … ([01]\.\d+)")
_NO_FIGURE = ("", "–", "—", "-", "n/a", "nan", "none", "null")


def to_markdown(board: Leaderboard, *, title: str) -> str:
    """The report; the same board gives the same text."""
    lines = [f"# {escape(title)}", "", *_headline(board)]
    for number, name in enumerate(SECTION_FIELDS, 2):
        lines += ["", f"## {number}. KER by {name}", ""]
        if name == "ipa_source":
            lines += [ipa_source_gap(board), ""]
        known = board.intervals.get(name, {})
        lines += [row(name, "KER", "n", _INTERVAL), row("---", "---:", "---:", "---:")]
        lines += [
            f"{_group_row(value, figure)} {_shown_interval(known.get(value))} |"
            for value, figure in board.by.get(name, {}).items()
        ]
    lines += ["", "## 5. Per-term KER, worst first", ""]
    lines += [row("term", "KER", "n"), row("---", "---:", "---:")]
    lines += [_group_row(term, GroupFigure(ker, n)) for term, ker, n in board.terms]
    if board.signature:
        parts = (f"{escape(key)} {escape(text)}" for key, text in board.signature.items())
        lines += ["", f"Signature: {'; '.join(parts)}"]
    return "\n".join([*lines, "", f"<!-- {MARK} {_payload(board)} -->", ""])


def _headline(board: Leaderboard) -> list[str]:
    header = row("metric", "score", "n", _INTERVAL)
    lines = ["## 1. Headline", "", header, row("---", "---:", "---:", "---:")]
    for name in METRICS:
        figure, n = _shown(board.metrics.get(name)), board.rows
        label, interval = name.upper(), None
        if name == "ker":
            label, n, interval = "KER ★", board.ker_rows, board.ker_interval
        lines.append(row(label, figure, str(n), _shown_interval(interval)))
    none = _shown_interval(None)
    lines += [
        row(f"{name.upper()}, corpus-level (pooled, secondary)", _shown(value), str(board.rows), none)
        for name, value in board.corpus.items()
    ]
    lines += ["", "Scores are means of the rows' scores; corpus-level figures pool all errors instead."]
    without = board.rows - board.ker_rows
    if without:
        lines.append(f"Rows without a term, which have no KER and are left out of it: {without}.")
    return lines


def _group_row(value: str, figure: GroupFigure) -> str:
    return row(escape(value), _shown(figure.ker), str(figure.n))


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _shown_interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval[0]:.4f} … {interval[1]:.4f}"


def _payload(board: Leaderboard) -> str:
    document = {
        "version": 1,
        "rows": board.rows,
        "ker_rows": board.ker_rows,
        "metrics": board.metrics,
        "corpus": board.corpus,
        "by": {
            name: [[value, *figure] for value, figure in groups.items()] for name, groups in board.by.items()
        },
        "terms": [list(term) for term in board.terms],
        "signature": board.signature,
        "ker_interval": board.ker_interval,
        "intervals": {
            name: [[value, *interval] for value, interval in known.items()]
            for name, known in board.intervals.items()
        },
    }
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Neither sign occurs outside strings in this form, and either could end the comment.
    return text.replace("--", "-\\u002d").replace(">", "\\u003e")


def read_markdown(path: Path) -> Leaderboard:
    """Read a report. Raises InputError naming `path:line`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=str(path), remedy="Name a Markdown file") from error
    found = _COMMENT.search(text)
    if found is None:
        return _from_tables(text, path)
    line = text.count("\n", 0, found.start()) + 1
    board = _from_payload(found[1], path, line)
    seen, meant = _from_tables(text, path), _from_tables(to_markdown(board, title=""), path)
    if seen != meant:
        raise InputError(
            "the tables and the figures recorded in this comment disagree",
            where=f"{path}:{line}",
            remedy=_REWRITE,
        )
    return board


def _from_payload(payload: str, path: Path, line: int) -> Leaderboard:
    try:
        return _board(json.loads(payload))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InputError(
            f"the recorded figures cannot be read ({type(error).__name__})",
            where=f"{path}:{line}",
            remedy=_REWRITE,
        ) from error


def _board(document: dict[str, Any]) -> Leaderboard:
    if document["version"] != 1:
        raise ValueError("unknown version")
    return Leaderboard(
        rows=_count(document["rows"]),
        ker_rows=_count(document["ker_rows"]),
        metrics={name: _rate(document["metrics"][name]) for name in METRICS},
        corpus={str(name): _rate(value) for name, value in document["corpus"].items()},
        by={
            name: {str(value): GroupFigure(_rate(ker), _count(n)) for value, ker, n in document["by"][name]}
            for name in SECTION_FIELDS
        },
        terms=tuple(
            TermFigure(str(term), _rate(ker) or 0.0, _count(n)) for term, ker, n in document["terms"]
        ),
        signature={str(key): str(text) for key, text in document["signature"].items()},
        # A report of an earlier version has none.
        ker_interval=_interval(document.get("ker_interval")),
        intervals={
            str(name): {str(value): (_limit(low), _limit(high)) for value, low, high in known}
            for name, known in document.get("intervals", {}).items()
        },
    )


def _interval(limits: Any) -> Interval | None:
    if limits is None:
        return None
    low, high = limits
    return _limit(low), _limit(high)


def _limit(value: object) -> float:
    found = _rate(value)
    if found is None:
        raise TypeError("not a limit")
    return found


def _rate(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a figure")
    if not math.isfinite(value) or value < 0:
        raise ValueError("not a rate")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a count")
    if value < 0:
        raise ValueError("not a count")
    return value


def _from_tables(text: str, path: Path) -> Leaderboard:
    board: Leaderboard | None = None
    by: dict[str, dict[str, GroupFigure]] = {name: {} for name in SECTION_FIELDS}
    intervals: dict[str, dict[str, Interval]] = {}
    terms: list[TermFigure] = []
    for table in tables(text):
        section = _section(table)
        if section is None:
            board = board or _headline_table(table, path)
        elif section == "term":
            groups = _group_table(table, path)
            terms += [TermFigure(term, ker, n) for term, (ker, n) in groups.items() if ker is not None]
        else:
            by[section].update(_group_table(table, path))
            intervals.setdefault(section, {}).update(_intervals(table))
    if board is None:
        raise InputError(
            "no headline with a KER found",
            where=f"{path}:1",
            remedy="Name a leaderboard in the published five sections, or the transcripts themselves",
        )
    # Reports that give no n in the headline give it by section.
    ker_rows = board.ker_rows or max(sum(group.n for group in groups.values()) for groups in by.values())
    return replace(
        board,
        rows=board.rows or ker_rows,
        ker_rows=ker_rows,
        by=by,
        terms=tuple(terms),
        intervals={name: known for name, known in intervals.items() if known},
    )


def _section(table: Table) -> str | None:
    if _METRIC.search(table.header[0]) or table.header[0].strip(" *`").lower() == "metric":
        return None
    for place in (table.header[0].lower(), table.heading.lower()):
        for word, section in _SECTION_WORDS:
            if word in place:
                return section
    return None


def _group_table(table: Table, path: Path) -> dict[str, GroupFigure]:
    """Groups of one section: the column named KER and the column of counts."""
    names = [cell.strip(" *`").lower() for cell in table.header]
    ker_at = next((at for at, name in enumerate(names) if at and "ker" in name), None)
    n_at = next((at for at, name in enumerate(names) if at and name in _COUNT_HEADERS), None)
    if ker_at is None or n_at is None:
        missing = "KER" if ker_at is None else "n"
        raise InputError(f"this table has no column {missing}", where=f"{path}:{table.line}")
    groups = {}
    for line, cells in table.rows:
        if len(cells) <= max(ker_at, n_at):
            raise InputError("this table row is too short", where=f"{path}:{line}")
        value = unescape(cells[0].strip("`* ") if cells[0].startswith(("`", "*")) else cells[0])
        ker = _parsed(cells[ker_at], path, line, highest=1.0)
        groups[value] = GroupFigure(ker, _parsed_count(cells[n_at], path, line))
    return groups


def _intervals(table: Table) -> dict[str, Interval]:
    """Intervals by the row's first cell, from a column of them if there is one."""
    at = next((at for at, name in enumerate(table.header) if name.strip(" *`") == _INTERVAL), None)
    if at is None:
        return {}
    cells = ((row[0], _LIMITS.fullmatch(row[at])) for _, row in table.rows if at < len(row))
    return {unescape(value): (float(found[1]), float(found[2])) for value, found in cells if found}


def _headline_table(table: Table, path: Path) -> Leaderboard | None:
    """The headline, one metric a row or one metric a column; None if the table is something else."""
    metrics: dict[str, float | None] = dict.fromkeys(METRICS)
    corpus: dict[str, float | None] = {}
    counts: dict[str, int] = {}
    for label, cell, n, line in _headline_cells(table, path):
        match = _METRIC.search(label)
        if match is None:
            continue
        pooled = "corpus" in label.lower() or "pooled" in label.lower()
        name = match[1].lower()
        highest = 1.0 if name in ("ker", "ser") else math.inf
        (corpus if pooled else metrics)[name] = _parsed(cell, path, line, highest=highest)
        if not pooled:
            counts[name] = n
    if not counts.keys() & {"ker"}:
        return None
    return Leaderboard(
        rows=max(counts.values()),
        ker_rows=counts["ker"],
        metrics=metrics,
        corpus=corpus,
        by={},
        terms=(),
        ker_interval=next((found for label, found in _intervals(table).items() if "KER" in label), None),
    )


def _headline_cells(table: Table, path: Path) -> list[tuple[str, str, int, int]]:
    """(label, figure, n or 0, line) of every figure in a headline table."""
    names = [cell.strip(" *`").lower() for cell in table.header]
    n_at = next((at for at, name in enumerate(names) if name in _COUNT_HEADERS), None)
    columns = [at for at, name in enumerate(names) if _METRIC.search(name)]

    def count(cells: tuple[str, ...], line: int) -> int:
        return 0 if n_at is None or n_at >= len(cells) else _parsed_count(cells[n_at], path, line)

    if columns:
        line, cells = table.rows[0]
        return [(names[at], cells[at], count(cells, line), line) for at in columns if at < len(cells)]
    return [(cells[0], cells[1], count(cells, line), line) for line, cells in table.rows if len(cells) > 1]


def _parsed(cell: str, path: Path, line: int, *, highest: float) -> float | None:
    """A figure as `0.128`, `**0.128**` or `12.8 %`; None for a dash or nothing."""
    text = cell.strip(" *`_").lower()
    if text in _NO_FIGURE:
        return None
    try:
        value = _rate(float(text.removesuffix("%")) / (100 if text.endswith("%") else 1))
    except ValueError as error:
        raise InputError(f"{text!r} is no figure", where=f"{path}:{line}") from error
    if value is not None and value > highest:
        raise InputError(
            f"{text!r} is above 1",
            where=f"{path}:{line}",
            remedy="Write a rate from 0 to 1, or add the % sign",
        )
    return value


def _parsed_count(cell: str, path: Path, line: int) -> int:
    text = cell.strip(" *`_").replace(",", "")
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{text!r} is no count of rows", where=f"{path}:{line}")
    return int(text)
