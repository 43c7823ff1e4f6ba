import pytest

from thiry_calc import ThiryCalculator


def test_ase_finds_the_calculator():
    plugins = pytest.importorskip("ase._4.plugins", reason="this ASE has no plugin system")
    found = [p for p in plugins.PluginCollection.from_entry_points() if p.name == "thiry"]
    assert len(found) == 1
    assert found[0].package == "thiry_calc"
    assert found[0].implementation is ThiryCalculator
