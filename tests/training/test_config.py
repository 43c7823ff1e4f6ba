import pytest

from training.config import integer, listing, read_toml, real, span, text
from training.recipe import Recipe, parse_recipe, read_recipe


def recipe(**changes):
    document = {
        "reference": {"potential": "AM04"},
        "cells": {"lattice": "bcc", "sizes": [4]},
        "family": [{"kind": "random_cluster", "vacancies": [1, 2], "count": 3}],
        "hessian": {"method": "analytic", "labels": ["total"]},
        "output": {"folder": "database", "seed": 1},
    }
    for path, value in changes.items():
        table, _, key = path.partition("__")
        if not key:
            document[table] = value
        elif table == "family":
            document["family"][0][key] = value
        else:
            document[table][key] = value
    return document


def test_a_recipe_of_the_documented_form_is_read():
    parsed = parse_recipe(recipe(family__radius=[3.2, 9.0], hessian__labels=["total", "gradient"]))
    assert isinstance(parsed, Recipe)
    assert parsed.sizes == (4,)
    assert parsed.families[0].radius == (3.2, 9.0)
    assert parsed.families[0].interstitials == (0, 0)
    assert parsed.extras == ("gradient",)
    assert parsed.seed == 1
    hash(parsed)  # workers cache by it


def test_defaults_fill_in():
    document = recipe()
    del document["hessian"], document["output"]["seed"], document["cells"]["lattice"]
    parsed = parse_recipe(document)
    assert (parsed.method, parsed.eigenvalues, parsed.seed) == ("analytic", False, 1)
    assert (parsed.lattice, parsed.element, parsed.a0) == ("bcc", "Fe", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"familly": []}, "unknown key 'familly' in the recipe; did you mean 'family'"),
        ({"reference__potentail": "x"}, r"unknown key 'potentail' in \[reference\]; did you"),
        ({"family__vacancy": [1, 1]}, "did you mean 'vacancies'"),
        ({"family__temperature": [1, 2]}, "unknown key 'temperature' in item 1"),
        ({"family__kind": "anneal"}, "did you mean 'annealed'"),
        ({"hessian__labels": ["site"]}, "did you mean 'sites'"),
        ({"hessian__labels": []}, "at least 1"),
        ({"hessian__method": "dfpt"}, "known keys are analytic|'dfpt'"),
        ({"family__vacancies": [2, 1]}, "lower number first"),
        ({"family__vacancies": [-1, 1]}, "expected 0"),
        ({"family__vacancies": 2}, r"expected \[lowest, highest\]"),
        ({"family__vacancies": [0, 0]}, "no vacancies and no interstitials"),
        ({"family__kind": "mixed"}, "at least one vacancy and one interstitial"),
        ({"family__kind": "saddle", "hessian__labels": ["total", "sites"]}, "no label 'sites'"),
        ({"family__radius": [-3.2, 9.0]}, "expected 0.5 to 100 Å"),
        ({"family__radius": ["a", "b"]}, "expected a number in Å"),
        ({"family__count": 0}, "expected 1 or more"),
        ({"family__count": 2.5}, "expected an integer"),
        ({"family__count": True}, "expected an integer"),
        ({"family": []}, "at least 1"),
        ({"family": [{"count": 3}]}, "has no kind"),
        ({"cells__sizes": [2]}, "expected 4 to 64"),
        ({"cells__a0": 2.855e-10}, "expected 1 to 10 Å"),
        ({"cells__a0": float("nan")}, "expected 1 to 10 Å"),
        ({"cells__lattice": "hcp"}, "'lattice'"),
        ({"cells": 3}, "expected a table"),
        ({"output": {}}, "lacks the key 'folder'"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_recipe(recipe(**changes))
    assert "\n" not in str(error.value)


def test_strained_and_annealed_families_have_their_keys():
    families = [
        {"kind": "annealed", "interstitials": [1, 2], "count": 1, "temperature": [300, 900]},
        {"kind": "strained", "vacancies": [1, 2], "count": 1, "strain": 0.01},
    ]
    parsed = parse_recipe(recipe(family=families))
    assert parsed.families[0].temperature == (300.0, 900.0)
    assert parsed.families[0].steps == (100, 300)
    assert parsed.families[1].strain == 0.01
    assert parsed.families[1].steps == (0, 0)
    families[1]["strain"] = 2.0  # percent, most likely
    with pytest.raises(ValueError, match=r"expected 1e-06 to 0\.1"):
        parse_recipe(recipe(family=families))


def test_files(tmp_path):
    path = tmp_path / "recipe.toml"
    with pytest.raises(FileNotFoundError):
        read_recipe(path)
    path.write_text("[reference\n")
    with pytest.raises(ValueError, match=r"not valid TOML.*line 1"):
        read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not valid TOML"):
        read_toml(path)
    path.write_text(
        '[reference]\npotential="M07"\nfile="none.fs"\n[cells]\nsizes=[4]\n'
        '[[family]]\nkind="random_cluster"\nvacancies=[1,1]\ncount=1\n[output]\nfolder="x"\n'
    )
    with pytest.raises(FileNotFoundError, match="potential table"):
        read_recipe(path)
    (tmp_path / "none.fs").write_text("")
    assert read_recipe(path).file == str(tmp_path / "none.fs")


@pytest.mark.parametrize(
    ("checker", "good", "bad"),
    [
        (integer(1, 3), 2, 4),
        (real(0.0, unit="K"), 3, -1),
        (real(0.0), 1.5, float("inf")),
        (text("a", "b"), "a", "c"),
        (text(), "any", ""),
        (listing(integer(0)), [1, 2], [1, "x"]),
        (span(real(0.0)), [1, 2.5], [1]),
    ],
)
def test_checkers(checker, good, bad):
    result = checker(good, "'key'")
    assert list(result) == good if isinstance(good, list) else result == good
    with pytest.raises(ValueError, match="key"):
        checker(bad, "'key'")
