"""What a case is made of, and what its samples say. Pure: nothing is measured here.

A case has rows (contestants) and columns (what is measured). A run fills a Sheet with samples, one for
each round and cell; summary() makes of it what is printed and kept as JSON.
"""

import dataclasses
import statistics
from typing import Callable, Optional, Sequence, Tuple

Cell = Tuple[str, str]  # row, column


@dataclasses.dataclass(frozen=True)
class Column:
    """One thing that is measured. `digits` after the point; `scale` divides what is printed."""

    key: str
    heading: str
    digits: int = 2
    scale: float = 1


@dataclasses.dataclass(frozen=True)
class Target:
    """A promise: cell `of`, or its ratio to the cells `to`, is at least or at most `bound`.

    Of several cells in `to` the one counts that is hardest to keep up with; cells nobody measured are
    left out. A ratio is the median of the rounds' ratios, where both were measured in the same rounds.
    """

    text: str
    of: Cell
    at_least: Optional[float] = None
    at_most: Optional[float] = None
    to: Sequence[Cell] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table of cases. `run(bench, sheet)` measures; `reference`: the row others are compared with."""

    name: str
    title: str
    run: Callable
    columns: Sequence[Column]
    reference: str = ""
    main: str = ""  # the column of which ratios to the reference are told
    targets: Sequence[Target] = ()
    drawn: bool = False  # in the plot


class Sheet:
    """Samples of a case: {(row, column): [value of each round]}."""

    def __init__(self):
        self.samples = {}
        self.notes = []

    def add(self, row, values):
        """The values of one round: {column: value}."""
        for column, value in values.items():
            self.samples.setdefault((row, column), []).append(value)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def rows(self):
        return list(dict.fromkeys(row for row, _ in self.samples))


def ratio(above, below):
    """The median of the rounds' ratios; None where there is nothing to divide by."""
    if len(above) == len(below):
        ratios = [a / b for a, b in zip(above, below) if b]
        return statistics.median(ratios) if ratios else None
    middle = statistics.median(below)
    return statistics.median(above) / middle if middle else None


def check(target, samples):
    """A target as the report tells it; `met` is None where it could not be measured."""
    told = {"text": target.text, "bound": target.at_least if target.at_most is None else target.at_most,
            "direction": "at least" if target.at_most is None else "at most", "value": None, "met": None}
    if target.of not in samples:
        return told
    if target.to:
        values = [ratio(samples[target.of], samples[cell]) for cell in target.to if cell in samples]
        values = [value for value in values if value is not None]
        if not values:
            return told
        told["value"] = min(values) if target.at_most is None else max(values)
    else:
        told["value"] = statistics.median(samples[target.of])
    told["met"] = told["value"] >= told["bound"] if target.at_most is None else told["value"] <= told["bound"]
    return told


def summary(case, sheet):
    """All that is known of a case after its run, as plain data."""
    rows = []
    for row in sheet.rows():
        cells = {}
        for column in case.columns:
            values = sheet.samples.get((row, column.key))
            if values:
                cells[column.key] = {"median": statistics.median(values), "min": min(values), "max": max(values),
                                     "values": values}
        told = {"row": row, "cells": cells}
        reference = sheet.samples.get((case.reference, case.main))
        if reference and case.main in cells:
            told["ratio"] = ratio(cells[case.main]["values"], reference)
        rows.append(told)
    return {
        "case": case.name, "title": case.title, "reference": case.reference, "main": case.main, "drawn": case.drawn,
        "columns": [dataclasses.asdict(column) for column in case.columns],
        "rows": rows, "targets": [check(target, sheet.samples) for target in case.targets], "notes": sheet.notes,
    }
