# %% [markdown]
# # A classifier whose every score is a sum over patches
#
# Handwritten digits of 8 x 8 pixels (those of scikit-learn), a patch k-nearest-neighbour classifier
# and a scattering classifier, fitted in closed form; then: which patches speak for a class?

# %%
import numpy as np
from sklearn.datasets import load_digits

from vision import ScatteringLinear, SimplePatch, load_model, patch_dimension, save_model
from vision.evidence import explain
from vision.plot import plot_evidence, plot_gallery

digits = load_digits()
images = (digits.images * 15).astype(np.uint8)  # (1797, 8, 8), values 0 to 240
train, test = slice(0, 1200), slice(1200, None)

# %% [markdown]
# Both classifiers have scikit-learn's interface. Digits are not mirror images of one another, so
# the dictionary is not closed under mirrors here.

# %%
patches = SimplePatch(n_patches=256, patch_size=3, pooling=3, temperature=2.0, mirror=False)
patches.fit(images[train], digits.target[train])
scattering = ScatteringLinear(J=1, penalty=0.1).fit(images[train], digits.target[train])
for model in (patches, scattering):
    accuracy = model.score(images[test], digits.target[test])
    print(f"{type(model).__name__}: {100 * accuracy:.1f} % of {len(images[test])} digits")

# %% [markdown]
# A score is Σ_patches w·φ(patch): its map is exact, and so is the sum. Red speaks for, blue
# against.

# %%
digit = images[1201]
best = patches.predict(digit[None])[0]
scores = patches.class_scores(digit[None])[0]
second = patches.classes_[np.argsort(scores)[-2]]
evidence = [explain(patches, digit, label) for label in (best, second)]
for e in evidence:
    print(f"class {e.label}: score {e.score:.4f}, sum of evidence {e.patches.sum():.4f}")
    assert abs(e.patches.sum() - e.score) < 1e-5
plot_evidence(digit[..., None], evidence, [str(e.label) for e in evidence], "evidence.png")

# %% [markdown]
# The dictionary patches that speak most for each class, and the dimension of the patches.

# %%
plot_gallery([(str(c), *patches.telling_patches(c, 8)) for c in patches.classes_], "gallery.png")
print(patch_dimension(images, 3, n_neighbors=100, n_centers=200))

# %% [markdown]
# One file keeps the model, without pickle. On the command line:
# `thiry-vision evaluate digits.vision DATA.npz`.

# %%
save_model("digits.vision", patches, {"class_names": [str(c) for c in patches.classes_]})
loaded, _ = load_model("digits.vision")
assert (loaded.predict(images[test]) == patches.predict(images[test])).all()
