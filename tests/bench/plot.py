"""Draws a run: bars of throughput with their spread, and latency. Pure: results in, SVG out.

The file is self-contained, and readable on a light and a dark background.
"""

from html import escape

WIDTH, LABEL, BAR, STEP = 760, 230, 14, 20
COLUMN = 300  # the longest bar
STYLE = """
  .ground { fill: #fff }
  text { font: 12px sans-serif; fill: #222 }
  .title { font-weight: bold }
  .small { fill: #555; font-size: 11px }
  .ours { fill: #2470b8 } .peer { fill: #9aa5b1 } .limit { fill: #d3a13b }
  .spread { stroke: #222; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #16191d } text { fill: #e6e6e6 } .small { fill: #aab }
    .spread { stroke: #eee } .ours { fill: #5aa2e6 } .peer { fill: #697480 }
  }
"""
KIND = {"linked": "ours", "preloaded": "ours", "floor": "limit", "static": "limit"}


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def bar(y, row, most, names):
    """A contestant's bar with its spread, and its latency beside it."""
    rate = row["cells"]["rate"]
    scale = COLUMN / most
    middle = y + BAR / 2
    latency = " / ".join(f"{row['cells'][key]['median']:.2f}" for key in ("p50", "p99") if key in row["cells"])
    return [
        text(LABEL - 8, y + 11, names.get(row["row"], row["row"]), anchor="end"),
        f'<rect x="{LABEL}" y="{y}" width="{rate["median"] * scale:.1f}" height="{BAR}" '
        f'class="{KIND.get(row["row"], "peer")}"/>',
        f'<line x1="{LABEL + rate["min"] * scale:.1f}" x2="{LABEL + rate["max"] * scale:.1f}" '
        f'y1="{middle}" y2="{middle}" class="spread"/>',
        text(LABEL + COLUMN + 60, y + 11, f"{rate['median'] / 1000:.1f}", anchor="end"),
        text(WIDTH - 16, y + 11, latency, "small", "end"),
    ]


def panel(y, summary, names):
    """A case's bars from `y` on: (lines of SVG, where it ends)."""
    rows = [row for row in summary["rows"] if "rate" in row["cells"]]
    most = max((row["cells"]["rate"]["max"] for row in rows), default=1) or 1
    lines = [text(16, y + 14, summary["title"], "title"),
             text(LABEL + COLUMN + 60, y + 32, "1000/s", "small", "end"),
             text(WIDTH - 16, y + 32, "p50 / p99 ms", "small", "end")]
    y += 40
    for row in rows:
        lines += bar(y, row, most, names)
        y += STEP
    return lines, y + 16


def svg(results, names):
    lines, y = [], 16
    for summary in results["cases"]:
        if summary["drawn"]:
            more, y = panel(y, summary, names)
            lines += more
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
            f'role="img" aria-label="Throughput and latency of Overtime and its peers">')
    ground = f'<rect class="ground" width="{WIDTH}" height="{y}"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *lines, "</svg>"]) + "\n"
