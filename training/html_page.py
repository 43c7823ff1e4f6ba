"""Pages of HTML in one file: tables, and figures inside."""

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body {font: 15px/1.5 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222}
table {border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums}
td, th {padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right}
td:first-child, th:first-child {text-align: left}
img {max-width: 100%}
"""


def document(title: str, parts: Sequence[str]) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
    parts : sequence of str
        HTML.

    Returns
    -------
    str
    """
    head = f"<meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html>{head}<body>" + "\n".join(parts) + "</body></html>\n"


def image(figure: "Figure") -> str:
    """Return a figure as an element that needs no file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<p><img src="data:image/png;base64,{data}"></p>'


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequences
        Floats get four digits, None a dash.

    Returns
    -------
    str
    """
    return "<table>" + _row(header, "th") + "".join(_row(row, "td") for row in rows) + "</table>"


def _row(cells: Sequence[Any], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(_cell(c))}</{tag}>" for c in cells) + "</tr>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
