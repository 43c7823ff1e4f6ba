"""Reading images: every layout, checksums, and one-sentence errors for what is wrong."""

import gzip
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from vision import formats
from vision.data import ImageSet, as_images, load_images, save_npz, split


def test_npz_and_back(small, tmp_path):
    save_npz(tmp_path / "a.npz", small)
    found = load_images(tmp_path / "a.npz", sha256=small.sha256, labelled=True)
    np.testing.assert_array_equal(found.images, small.images)
    np.testing.assert_array_equal(found.labels, small.labels)
    assert found.class_names == small.class_names
    assert "150 colour images of 14 x 14 pixels, 3 classes" in str(found)
    with pytest.raises(ValueError, match="SHA-256"):
        load_images(tmp_path / "a.npz", sha256="0" * 64)


def test_checksum_is_of_content_not_of_the_file(small, tmp_path):
    np.savez(tmp_path / "a.npz", images=small.images, labels=small.labels)
    np.savez_compressed(
        tmp_path / "b.npz", labels=small.labels.astype(np.uint8), images=small.images
    )
    assert load_images(tmp_path / "a.npz").sha256 == load_images(tmp_path / "b.npz").sha256
    other = small.labels.copy()
    other[0] += 1
    assert ImageSet(small.images, other).sha256 != small.sha256


def _cifar(path, count, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count, dtype=np.uint8)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
    np.column_stack([labels, planes]).tofile(path)
    return images, labels


def test_cifar_binary_batches(tmp_path):
    first, one = _cifar(tmp_path / "data_batch_1.bin", 5)
    second, two = _cifar(tmp_path / "data_batch_2.bin", 4, seed=1)
    test, three = _cifar(tmp_path / "test_batch.bin", 3, seed=2)
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\n")
    train = load_images(tmp_path)
    np.testing.assert_array_equal(train.images, np.concatenate([first, second]))
    np.testing.assert_array_equal(train.labels, np.concatenate([one, two]))
    assert train.name_of(1) == "automobile"
    assert train.name_of(7) == "7"
    alone = load_images(tmp_path / "test_batch.bin")
    np.testing.assert_array_equal(alone.images, test)
    np.testing.assert_array_equal(alone.labels, three)


def test_damaged_and_foreign_cifar_files(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(b"\0" * 3000)
    with pytest.raises(ValueError, match="3000 bytes"):
        load_images(tmp_path)
    (tmp_path / "other.bin").write_bytes(b"\x63" * 3073)
    with pytest.raises(ValueError, match="label 99"):
        load_images(tmp_path / "other.bin")
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x03}q\x00")
    with pytest.raises(ValueError, match="pickle"):
        load_images(tmp_path / "data_batch_1")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_files(tmp_path, ending):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 28, 28), dtype=np.uint8)
    labels = np.arange(7, dtype=np.uint8)

    def write(name, array):
        data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        data += array.tobytes()
        (tmp_path / (name + ending)).write_bytes(gzip.compress(data) if ending else data)

    write("train-images-idx3-ubyte", images)
    assert load_images(tmp_path / ("train-images-idx3-ubyte" + ending)).labels is None
    write("train-labels-idx1-ubyte", labels)
    found = load_images(tmp_path / ("train-images-idx3-ubyte" + ending))
    np.testing.assert_array_equal(found.images[..., 0], images)
    np.testing.assert_array_equal(found.labels, labels)
    path = tmp_path / ("train-images-idx3-ubyte" + ending)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="damaged"):
        load_images(path)


def test_what_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats.os, "sysconf", lambda name: 1000)  # a megabyte
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((2000, 32, 32), np.uint8))
    with pytest.raises(ValueError, match="memory"):
        load_images(tmp_path / "bomb.npz")
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2000, 32, 32)
    (tmp_path / "a-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(2000 * 32 * 32)))
    with pytest.raises(ValueError, match="memory"):
        load_images(tmp_path / "a-idx3-ubyte.gz")
    np.savez(tmp_path / "small.npz", images=np.zeros((2, 32, 32), np.uint8))
    assert len(load_images(tmp_path / "small.npz")) == 2


def test_folders_of_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(2):
            picture = Image.fromarray(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8))
            picture.save(tmp_path / name / f"{i}.png")
    found = load_images(tmp_path)
    assert found.images.shape == (4, 8, 6, 3)
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.class_names == ("cat", "dog")
    assert load_images(tmp_path / "cat").labels is None
    assert load_images(tmp_path / "cat" / "0.png").images.shape == (1, 8, 6, 3)
    Image.fromarray(np.zeros((8, 6), np.uint8)).save(tmp_path / "dog" / "2.png")
    with pytest.raises(ValueError, match="one size and colour mode"):
        load_images(tmp_path)
    (tmp_path / "dog" / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="no picture that pillow reads"):
        load_images(tmp_path)
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "dog" / "2.png")
    with pytest.raises(ValueError, match="8 bits"):
        load_images(tmp_path / "dog" / "2.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="'empty'"):
        load_images(tmp_path)


def test_what_is_wrong_is_named(small, tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x_train=small.images)
    with pytest.raises(ValueError, match=r"holds x_train; expected arrays 'images'"):
        load_images(path)
    np.savez(path, images=small.images, labels=small.labels[:3])
    with pytest.raises(ValueError, match="one per image"):
        load_images(path)
    np.savez(path, images=small.images, labels=small.labels + 0.5)
    with pytest.raises(ValueError, match="whole numbers"):
        load_images(path)
    np.savez(path, images=small.images / 255.0)
    with pytest.raises(ValueError, match="float64; expected uint8"):
        load_images(path)
    np.savez(path, images=small.images)
    with pytest.raises(ValueError, match="no labels"):
        load_images(path, labelled=True)
    np.savez(path, images=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        load_images(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        load_images(path)
    with path.open("wb") as stream:
        np.save(stream, small.images)
    with pytest.raises(ValueError, match="damaged"):
        load_images(path)
    np.savez(path, images=small.images, labels=np.full(150, 2**64 - 1, np.uint64))
    with pytest.raises(ValueError, match="above 2"):
        load_images(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"nonsense")
    with pytest.raises(ValueError, match=r"type \|S8"):
        load_images(path)
    with pytest.raises(FileNotFoundError):
        load_images(tmp_path / "absent.npz")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="no known layout"):
        load_images(tmp_path / "notes.txt")


@pytest.mark.parametrize("shape", [(4,), (4, 5), (2, 4, 4, 2), (2, 4, 4, 4), (1, 2, 3, 4, 5)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected"):
        as_images(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="no image"):
        as_images(np.zeros((0, 4, 4), np.uint8))


def test_split(small):
    rest, held = split(small, 30)
    assert (len(rest), len(held)) == (120, 30)
    np.testing.assert_array_equal(held.images, small.images[-30:])
    for n in (0, 150, -1):
        with pytest.raises(ValueError, match="hold out"):
            split(small, n)
