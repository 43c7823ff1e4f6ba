"""Reference potentials are found by name through their entry points."""

import pytest

from thiry_calc.references import list_references, load_reference


def test_references_are_found_by_entry_point():
    assert "AM04" in list_references()
    with pytest.raises(ValueError, match="M07 needs the file"):
        load_reference("M07")
    with pytest.raises(ValueError, match="AM04 takes no file"):
        load_reference("AM04", "table.eam")
    with pytest.raises(ValueError, match=r"unknown reference potential 'AM03'.*'AM04'"):
        load_reference("AM03")
