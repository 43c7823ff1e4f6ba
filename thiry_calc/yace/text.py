"""The text of .yace files: YAML for ``pair_style pace`` (ML-PACE, ``ACECTildeBasisSet``).

One value or one function a line, in a subset of YAML whose values are JSON but for keys without
quotes; floats have a point and all their digits.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from thiry_calc.yace.expansion import Expansion

_SPLINE_BINS = 0.001  # Å; 0.01 gives forces wrong by 4e-6 eV/Å
_WORD = re.compile(r"(?<![\w.])[A-Za-z]\w*")  # not the e of a number


def write(expansion: Expansion, header: list[str]) -> str:
    """Return the text of a file.

    Parameters
    ----------
    expansion : Expansion
    header : list of str
        Lines of comment.

    Returns
    -------
    str
    """
    n = len(expansion.elements)
    lines = [f"# {line}" for line in header]
    lines += [
        f"elements: [{', '.join(expansion.elements)}]",
        f"E0: {_value(expansion.e0)}",
        f"deltaSplineBins: {_SPLINE_BINS}",
        "embeddings:",
    ]
    embedding = {
        "ndensity": 1,
        "FS_parameters": [1.0, 1.0],
        "npoti": "FinnisSinclairShiftedScaled",
        "rho_core_cutoff": 1.0e5,  # 0 would silence the energy
        "drho_core_cutoff": 250.0,
    }
    lines += [f"  {a}: {_value(embedding)}" for a in range(n)]
    lines.append("bonds:")
    bond = _value(_bond(expansion))
    lines += [f"  [{a}, {b}]: {bond}" for a in range(n) for b in range(n)]
    lines.append("functions:")
    for a in range(n):
        own = [f"    - {_value(f)}" for f in _functions(expansion, a)]
        lines += [f"  {a}:", *own] if own else [f"  {a}: []"]
    return "\n".join(lines) + "\n"


def _bond(expansion: Expansion) -> dict[str, Any]:
    n_l, rows = expansion.highest_l + 1, expansion.radial or [np.zeros(1)]
    n_base = max(expansion.pairs.shape[-1], *(len(row) for row in rows), 1)
    table = [[np.pad(row, (0, n_base - len(row)))] * n_l for row in rows]
    return {
        "nradmax": len(rows),
        "lmax": n_l - 1,
        "nradbasemax": n_base,
        "radbasename": "ChebPow",
        "radparameters": [1.0],
        "radcoefficients": table,
        "prehc": 0.0,
        "lambdahc": 1.0,
        "rcut": expansion.r_cut,
        "dcut": 0.01,
        "rcut_in": 0.0,
        "dcut_in": 0.0,
        "inner_cutoff_type": "distance",
    }


def _functions(expansion: Expansion, center: int) -> list[dict[str, Any]]:
    out = []
    for b in range(len(expansion.elements)):
        for k, c in enumerate(expansion.pairs[center, b], 1):
            if c != 0.0:
                out.append(_function(center, [b], [k], [0], {(0,): float(c)}))
    for channels, terms in sorted(expansion.products[center].items()):
        if terms:
            mus, ns, ls = (list(x) for x in zip(*channels, strict=True))
            out.append(_function(center, mus, [n + 1 for n in ns], ls, terms))
    return out


def _function(
    center: int, mus: list[int], ns: list[int], ls: list[int], terms: dict[tuple[int, ...], float]
) -> dict[str, Any]:
    return {
        "mu0": center,
        "rank": len(mus),
        "ndensity": 1,
        "num_ms_combs": len(terms),
        "mus": mus,
        "ns": ns,
        "ls": ls,
        "ms_combs": [m for ms in terms for m in ms],
        "ctildes": list(terms.values()),
    }


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | np.ndarray):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, float):  # YAML 1.1 takes 1e-05 for a word
        return "0.0" if value == 0 else f"{value:.17e}"
    return str(value)


def read(path: str | Path) -> dict[str, Any]:
    """Read a file written by `write`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        As YAML has it; bonds have pairs of int as keys.

    Raises
    ------
    ValueError
        For lines that such a file has not.
    """
    tree: dict[str, Any] = {"embeddings": {}, "bonds": {}, "functions": {}}
    section, center = "", 0
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            if line.startswith("    - "):
                tree["functions"][center].append(_parse(line[6:]))
            elif line.startswith("  "):
                key, value = _split(line.strip())
                if section == "bonds":
                    tree["bonds"][tuple(json.loads(key))] = _parse(value)
                elif section == "functions":
                    center = int(key)
                    tree["functions"][center] = []
                else:
                    tree[section][int(key)] = _parse(value)
            else:
                key, value = _split(line)
                if value:
                    tree[key] = _parse(value)
                else:
                    section = key
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"line {number} of {str(path)!r} is not as `thiry export` writes it ({error})"
            ) from error
    return tree


def _split(line: str) -> tuple[str, str]:
    key, _, value = line.partition(": ") if ": " in line else line.partition(":")
    return key, value.strip()


def _parse(text: str) -> Any:
    """Parse JSON whose words have no quotes."""
    return json.loads(_WORD.sub(r'"\g<0>"', text))


def check_supported(tree: dict[str, Any]) -> None:
    """Refuse files with more than what `write` writes.

    Raises
    ------
    ValueError
    """
    for embedding in tree["embeddings"].values():
        if list(embedding["FS_parameters"]) != [1.0, 1.0] or embedding["ndensity"] != 1:
            raise ValueError("the embedding is not linear; this evaluator reads our own files")
    cutoffs = {bond["rcut"] for bond in tree["bonds"].values()}
    families = {bond["radbasename"] for bond in tree["bonds"].values()}
    cores = {bond["prehc"] for bond in tree["bonds"].values()}
    if len(cutoffs) != 1 or families != {"ChebPow"} or cores != {0.0}:
        raise ValueError(
            f"cutoffs {cutoffs}, radial functions {families}, cores {cores}: this evaluator reads "
            "our own files, with one cutoff, ChebPow, and no core"
        )
