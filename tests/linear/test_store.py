import io
import json
import zipfile

import numpy as np
import pytest

from thiry_calc.linear import load, save
from thiry_calc.linear.store import _checksum

ARRAYS = {
    "a": np.arange(12.0).reshape(3, 4),
    "sub/flags": np.array([True, False]),
    "names": np.array(["Fe", "W"]),
    "scalar": np.array(3.5),
    "fortran": np.asfortranarray(np.random.default_rng(0).normal(size=(5, 7))),
}
HEADER = {"title": "test", "list": [1, 2.5, None], "nested": {"x": "é"}}


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "model.thiry", HEADER, ARRAYS, "potential", 2)
    return tmp_path / "model.thiry"


def same(arrays):
    return arrays.keys() == ARRAYS.keys() and all(
        np.array_equal(arrays[k], v) and arrays[k].dtype == v.dtype for k, v in ARRAYS.items()
    )


def test_round_trip(path):
    header, arrays = load(path, "potential", 2)
    store = header.pop("_store")
    assert header == HEADER
    assert same(arrays)
    assert (store["kind"], store["schema"]) == ("potential", 2)
    assert len(store["checksum"]) == 64
    assert set(store["provenance"]) == {"thiry_calc", "python", "numpy"}
    assert load(path, "potential", 3)[0]["title"] == "test"


def test_bytes_are_deterministic_and_survive_resaving(path, tmp_path):
    reordered = dict(reversed(ARRAYS.items()))
    save(tmp_path / "other.thiry", dict(reversed(HEADER.items())), reordered, "potential", 2)
    assert (tmp_path / "other.thiry").read_bytes() == path.read_bytes()
    header, arrays = load(path, "potential", 2)
    save(tmp_path / "again.thiry", header, arrays, "potential", 2)
    assert (tmp_path / "again.thiry").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "again.thiry", "model.thiry", "other.thiry",
    ]  # fmt: skip


def test_refusals(path):
    with pytest.raises(FileNotFoundError):
        load(path.with_name("absent"), "potential", 2)
    with pytest.raises(ValueError, match="holds a 'potential'; expected a 'statistics'"):
        load(path, "statistics", 2)
    with pytest.raises(ValueError, match="has schema 2 and this version reads up to 1"):
        load(path, "potential")
    for content in (b"", b"PK", b"not a zip at all", np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a complete potential file"):
            load(path, "potential", 2)


def test_truncation_at_every_offset(path):
    data = path.read_bytes()
    for size in range(0, len(data), 5):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"complete|damaged"):
            load(path, "potential", 2)


def test_bit_flips_are_found_or_harmless(path):
    # bytes that zip ignores (dates, attributes) may change; content may not
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.choice(len(data), 600, replace=False):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            header, arrays = load(path, "potential", 2)
        except ValueError as error:
            refused += "\n" not in str(error)
        else:
            del header["_store"]
            assert header == HEADER
            assert same(arrays)
    assert refused > 300


def rewrite(path, edit):
    """Change members behind the back of zip's own checks."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    edit(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_checksum_covers_everything(path):
    data = path.read_bytes()

    def header(key, value):
        def edit(members):
            content = json.loads(members["header.json"])
            content[key] = value
            members["header.json"] = json.dumps(content).encode()

        return edit

    edits = [
        header("kind", "potential2"), header("schema", 1), header("header", {}),
        header("provenance", {}), header("checksum", "0" * 64),
        lambda m: m.pop("a.npy"), lambda m: m.update({"b.npy": m["a.npy"]}),
        lambda m: m.update({"a.npy": m["fortran.npy"], "fortran.npy": m["a.npy"]}),
    ]  # fmt: skip
    for edit in edits:
        path.write_bytes(data)
        rewrite(path, edit)
        with pytest.raises(ValueError, match="checksum differs"):
            load(path, "potential", 2)
    rewrite(path, lambda m: m.pop("header.json"))
    with pytest.raises(ValueError, match="not a complete"):
        load(path, "potential", 2)


def test_pickles_are_never_read_or_written(path):
    with pytest.raises(ValueError, match="Python objects"):
        save(path, {}, {"o": np.array([{}], dtype=object)}, "potential", 1)
    assert load(path, "potential", 2)  # the old file is intact

    def forge(members):
        stream = io.BytesIO()
        np.save(stream, np.array([print], dtype=object), allow_pickle=True)
        members["a.npy"] = stream.getvalue()
        content = json.loads(members.pop("header.json"))
        del content["checksum"]
        content["checksum"] = _checksum(content, members)
        members["header.json"] = json.dumps(content).encode()

    rewrite(path, forge)
    with pytest.raises(ValueError, match="never read"):
        load(path, "potential", 2)


def test_header_must_be_json(path):
    for bad in ({"x": np.nan}, {"x": object()}, {"x": np.arange(3)}):
        with pytest.raises(ValueError, match="not JSON"):
            save(path, bad, {}, "potential", 1)
    assert load(path, "potential", 2)


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="absent"):
        save(tmp_path / "absent" / "m.thiry", {}, {}, "potential", 1)
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        save(target, {}, ARRAYS, "potential", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
