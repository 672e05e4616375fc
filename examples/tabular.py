"""Tabular data with one class rarer than the other: is the tumour malignant? (Wisconsin breast cancer, scikit-learn's.)

Three things that tables ask for: features brought to one scale, weights against the imbalance, and a measure that a
lazy answer cannot please. Recall is the share of the malignant ones that are found; precision the share of the alarms
that are right.

python examples/tabular.py [EPOCHS]     needs scikit-learn for the data
"""

import sys

import numpy as np

from fastnn import Dense, Dropout, Model, optimizers
from fastnn.callbacks import EarlyStopping

try:
    from sklearn.datasets import load_breast_cancer
except ImportError:
    sys.exit("this example needs scikit-learn for its data: pip install scikit-learn")

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
table = load_breast_cancer()
X, malignant = table.data, (table.target == 0).astype(np.int64)

# make it rarer than it is: of the malignant ones keep each fourth, as a screening would see it
kept = (malignant == 0) | (np.cumsum(malignant) % 4 == 0)
X, malignant = X[kept], malignant[kept]
print(f"{len(X)} rows of {X.shape[1]} features, {malignant.mean():.0%} malignant; means over 20 ways to split them")


def alarms(seed: int, class_weight: str | None) -> tuple[int, int, int]:
    """On the fifth of the rows that was kept apart: malignant ones, alarms, alarms that are right."""
    order = np.random.default_rng(seed).permutation(len(X))
    train, valid, test = np.split(order, [len(X) * 6 // 10, len(X) * 8 // 10])
    scaled = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    model = Model([Dense(30, 16, activation="relu"), Dropout(0.2), Dense(1, activation="sigmoid")], seed=seed)
    model.set(loss="binary_crossentropy", optimizer=optimizers.AdamW(learning_rate=3e-3, weight_decay=1e-2))
    model.train(
        scaled[train], malignant[train], epochs=epochs, batch_size=32, shuffle=True, class_weight=class_weight,
        validation_data=(scaled[valid], malignant[valid]), callbacks=[EarlyStopping(patience=20, restore_best=True)],
    )  # fmt: skip
    alarm = model.predict(scaled[test])[:, 0] > 0.5
    return int(malignant[test].sum()), int(alarm.sum()), int((alarm & (malignant[test] == 1)).sum())


print(f"{'always benign':24} recall 0.000")
for weights in (None, "balanced"):
    sick, alarm, hit = np.sum([alarms(seed, weights) for seed in range(20)], axis=0)
    print(f"class_weight={weights!s:11} recall {hit / sick:.3f}  precision {hit / max(alarm, 1):.3f}")
