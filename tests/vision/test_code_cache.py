"""Codes kept in bytes: near the codes themselves, kept once, resumed where they stopped."""

import numpy as np
import pytest

from vision import SimplePatch
from vision.code_cache import _create, cached_codes

OPTIONS = {"n_patches": 40, "patch_size": 4, "pooling": 2, "penalty": 0.5}


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_fits_with_kept_codes_are_nearly_the_same(temperature, small, fresh, tmp_path):
    plain = SimplePatch(**OPTIONS, temperature=temperature).fit(small.images, small.labels)
    model = SimplePatch(**OPTIONS, temperature=temperature, cache=tmp_path / "new")
    kept = model.fit(small.images, small.labels).decision_function(fresh.images)
    np.testing.assert_allclose(kept, plain.decision_function(fresh.images), atol=0.02)
    assert len(list((tmp_path / "new").glob("*.codes"))) == 1
    model.set_params(head="logistic").fit(small.images, small.labels)
    assert len(list((tmp_path / "new").glob("*.codes"))) == 1
    model.set_params(k=0.3).fit(small.images, small.labels)
    assert len(list((tmp_path / "new").glob("*.codes"))) == 2


def test_only_codes_are_kept(small, tmp_path):
    model = SimplePatch(**OPTIONS, code="rectified", cache=tmp_path)
    with pytest.raises(ValueError, match="cache=None"):
        model.fit(small.images, small.labels)


def test_encoding_resumes(tmp_path):
    values = np.random.default_rng(0).uniform(size=(1100, 3)).astype(np.float32)
    asked = []

    def encode(block, stop=None):
        if stop is not None and block.start >= stop:
            raise KeyboardInterrupt
        asked.append(block.start)
        return values[block]

    with pytest.raises(KeyboardInterrupt):
        cached_codes(tmp_path, "key", (1100, 3), lambda b: encode(b, 1024))
    found = cached_codes(tmp_path, "key", (1100, 3), encode)
    assert asked == [0, 512, 1024]
    np.testing.assert_array_equal(found, np.rint(255 * values).astype(np.uint8))
    cached_codes(tmp_path, "key", (1100, 3), encode)
    assert asked == [0, 512, 1024]
    # a record without its file is not believed
    (tmp_path / "key.codes").unlink()
    with pytest.raises(KeyboardInterrupt):
        cached_codes(tmp_path, "key", (1100, 3), lambda b: encode(b, 0))
    found = cached_codes(tmp_path, "key", (1100, 3), encode)
    np.testing.assert_array_equal(found, np.rint(255 * values).astype(np.uint8))
    # a file of another size is not believed
    (tmp_path / "key.codes").write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes instead of 3300; delete it"):
        cached_codes(tmp_path, "key", (1100, 3), encode)


def test_encoding_begun_twice_ends_with_one_file(tmp_path):
    values = np.random.default_rng(0).uniform(size=(600, 3)).astype(np.float32)
    inner = []

    def encode(block):
        if not inner:  # another process begins and ends while this one encodes its first block
            inner.append(cached_codes(tmp_path, "key", (600, 3), lambda b: values[b]))
        return values[block]

    found = cached_codes(tmp_path, "key", (600, 3), encode)
    np.testing.assert_array_equal(found, np.rint(255 * values).astype(np.uint8))
    np.testing.assert_array_equal(found, inner[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["key.codes", "key.done"]


def test_a_file_is_made_once(tmp_path):
    path = tmp_path / "key.codes"
    _create(path, (2, 3))
    path.write_bytes(b"abcdef")
    _create(path, (2, 3))
    assert path.read_bytes() == b"abcdef"
    assert list(tmp_path.iterdir()) == [path]
