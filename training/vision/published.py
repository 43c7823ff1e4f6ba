"""Published accuracies and dimensions on CIFAR-10.

Sources: Thiry, Arbel, Belilovsky and Oyallon, ICLR 2021 ("paper"), the authors' logs of the runs
behind it ("log"), and the slides of L. Thiry's PhD defence ("thesis"). Accuracies in percent on
the test set, after fitting to all 50,000 training images.
"""

# log: dictionaries of N patches, low-rank head, 80 epochs (16k: 175)
N_PATCHES = {512: 78.4, 1024: 80.3, 2048: 82.6, 4096: 83.5, 16384: 85.7}
# log: neighbours of 2048, of each sign
NEIGHBORS = {10: 79.1, 100: 81.1, 500: 82.1, 800: 82.5, 1500: 81.9}
# log: regularization of the whitening, N = 2048
REGULARIZATION = {0.0: 81.2, 1e-3: 82.6, 1e-2: 81.5, 0.1: 76.9, 1.0: 70.6, 10.0: 66.7}
# log: patch size, N = 2048
PATCH_SIZE = {4: 81.7, 5: 82.1, 6: 82.6, 7: 82.3, 8: 81.4, 9: 80.8}
# log: temperature of the soft code, N = 2048; 0 is the hard code
TEMPERATURE = {0.0: 82.6, 1.0: 83.1, 2.0: 83.5, 4.0: 83.2, 8.0: 82.5, 20.0: 80.6}
# thesis: 10,000 patches
WHITENING = {True: 85.6, False: 65.4}
# log, thesis
HEADS = {"low_rank, N = 2048": 82.6, "hidden, N = 2048": 88.5, "low_rank, N = 16384": 85.7}
# thesis
BASELINES = {"image k-NN": 40.0, "patch votes": 30.0}

# log: nearest-neighbour dimension of patches, P = 2..20
_RAW = (7.1, 9.9, 12.4, 14.3, 15.8, 17.3, 18.8, 20.0, 21.1, 21.8, 23.1, 23.3, 24.4, 24.6, 25.4,
        25.6, 26.4, 26.3, 27.1)  # fmt: skip
_WHITENED = (10.6, 18.4, 25.6, 35.2, 44.7, 57.4, 69.3, 86.7, 105.7, 129.0, 152.6, 175.0, 194.0,
             191.0, 190.0, 161.0, 153.0, 133.0, 133.0)  # fmt: skip
DIMENSION = {
    False: dict(enumerate(_RAW, start=2)),
    True: dict(enumerate(_WHITENED, start=2)),
}
