"""The parts of a case, and the evaluation of its samples. Pure: nothing is measured here.

A case has rows (contestants) and columns (measured values). A run fills a Sheet with samples, one for
each round and cell; summary() turns it into the data that is printed and saved as JSON.
"""

import dataclasses
import statistics
from typing import Callable, Optional, Sequence, Tuple

Cell = Tuple[str, str]  # row, column


@dataclasses.dataclass(frozen=True)
class Column:
    """One measured value. `digits` after the point; `scale` divides the printed value."""

    key: str
    heading: str
    digits: int = 2
    scale: float = 1


@dataclasses.dataclass(frozen=True)
class Target:
    """A promise: cell `of`, or its ratio to the cells `to`, is at least or at most `bound`.

    Of several cells in `to` the best one counts; cells without a measurement are left out. A ratio is the
    median of the rounds' ratios, if both were measured in the same rounds.
    """

    text: str
    of: Cell
    at_least: Optional[float] = None
    at_most: Optional[float] = None
    to: Sequence[Cell] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table of cases. `run(bench, sheet)` measures; `reference`: the row with which others are compared."""

    name: str
    title: str
    run: Callable
    columns: Sequence[Column]
    reference: str = ""
    main: str = ""  # the column whose ratios to the reference are shown
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
    """The median of the rounds' ratios; None if there is nothing to divide by."""
    if len(above) == len(below):
        ratios = [a / b for a, b in zip(above, below) if b]
        return statistics.median(ratios) if ratios else None
    middle = statistics.median(below)
    return statistics.median(above) / middle if middle else None


def check(target, samples):
    """A target for the report; `met` is None if it could not be measured."""
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
    """All results of a case, as plain data."""
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
