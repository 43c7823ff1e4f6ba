"""Small recipes for the tests of the generator and of what reads its databases."""

import pytest

HEADER = """
[reference]
potential = "AM04"
[cells]
sizes = [4]
[hessian]
labels = {labels}
[output]
folder = "{folder}"
"""
FAMILY = """
[[family]]
kind = "{kind}"
vacancies = {vacancies}
count = {count}
"""


@pytest.fixture
def recipe_file(tmp_path):
    """Write a recipe of vacancies in boxes of 128 sites; its database is tmp_path / "database"."""

    def write(count, vacancies=(2, 2), strained=0, labels=("total",)):
        families = [("random_cluster", vacancies, count), ("strained", (1, 2), strained)]
        text = HEADER.format(folder=tmp_path / "database", labels=list(labels)) + "".join(
            FAMILY.format(kind=kind, vacancies=list(numbers), count=n)
            for kind, numbers, n in families
            if n
        )
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write
