"""Sentences and tables of the results, as text and as Markdown. Pure: summaries in, strings out."""


def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(column, told, spread=True):
    """A median, with the smallest and the largest round if they differ in the shown digits."""
    if told is None:
        return "-"
    texts = [number(told[name] / column["scale"], column["digits"]) for name in ("median", "min", "max")]
    if not spread or texts[1] == texts[2]:
        return texts[0]
    return f"{texts[0]} ({texts[1]}..{texts[2]})"


def grid(summary, names):
    """The table as lists of strings, the headings first."""
    reference = summary["reference"]
    ratios = any("ratio" in row for row in summary["rows"])
    headings = [""]
    for column in summary["columns"]:
        headings.append(column["heading"])
        if ratios and column["key"] == summary["main"]:
            headings.append(f"to {short(names.get(reference, reference))}")
    table = [headings]
    for row in summary["rows"]:
        line = [names.get(row["row"], row["row"])]
        for column in summary["columns"]:
            line.append(cell(column, row["cells"].get(column["key"])))
            if ratios and column["key"] == summary["main"]:
                line.append(number(row["ratio"], 2) if row.get("ratio") is not None else "-")
        table.append(line)
    return table


def short(name):
    """The first words of a contestant's name."""
    return name.partition(",")[0].partition(" (")[0]


def verdict(target):
    """A target's line."""
    if target["met"] is None:
        return f"not measured: {target['text']}"
    word = "met" if target["met"] else "MISSED"
    digits = 2 if abs(target["value"]) < 100 else 0
    return (f"{word}: {target['text']}: {number(target['value'], digits)}, "
            f"{target['direction']} {target['bound']:,g}")


def text(summary, names):
    """A case for the terminal."""
    table = grid(summary, names)
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = [f"== {summary['case']}: {summary['title']}"]
    for line in table:
        words = [line[0].ljust(widths[0])] + [word.rjust(width) for word, width in zip(line[1:], widths[1:])]
        lines.append("  " + "  ".join(words).rstrip())
    lines += [f"  {note}" for note in summary["notes"]]
    lines += [f"  {verdict(target)}" for target in summary["targets"]]
    return "\n".join(lines) + "\n"


def markdown(results, names):
    """A whole run for a document."""
    parts = []
    for summary in results["cases"]:
        table = grid(summary, names)
        parts.append(f"### `{summary['case']}`: {summary['title']}\n")
        lines = ["| " + " | ".join(line) + " |" for line in table]
        lines.insert(1, "|---|" + "---:|" * (len(table[0]) - 1))
        parts.append("\n".join(lines) + "\n")
        if summary["notes"]:
            parts.append("\n".join(summary["notes"]) + "\n")
        if summary["targets"]:
            parts.append("\n".join(f"- {verdict(target)}" for target in summary["targets"]) + "\n")
    return "\n".join(parts)


def closing(results):
    """The last lines of a run: how many targets were met, and which were not."""
    targets = [(summary["case"], target) for summary in results["cases"] for target in summary["targets"]]
    met = sum(target["met"] is True for _, target in targets)
    missed = [f"  {case}: {verdict(target)}" for case, target in targets if target["met"] is False]
    unknown = sum(target["met"] is None for _, target in targets)
    line = f"{met} targets met, {len(missed)} missed" + (f", {unknown} not measured" if unknown else "")
    return "\n".join([*missed, line])
