"""What the TensorBoard callback writes, read by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import X, Y, classifier

from fastnn import callbacks as cb

pytest.importorskip("tensorboard.compat.proto", reason="tensorboard is not installed")

HELD = (X[60:], Y[60:])


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    model = classifier()
    board = cb.TensorBoard(tmp_path, update_freq=2, histograms=2)
    model.train(X[:60], Y[:60], epochs=4, batch_size=20, validation_data=HELD, callbacks=[board])

    def scalars(run: str, tag: str) -> dict[int, float]:
        (path,) = (tmp_path / run).iterdir()
        found = {}
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == tag:
                    found[event.step] = value.tensor.float_val[0] if value.tensor.float_val else value.tensor
        return found

    for run, tag, key in (("train", "loss", "loss"), ("validation", "loss", "val_loss")):
        want = {i: pytest.approx(v, rel=1e-6) for i, v in enumerate(model.history[key])}
        assert scalars(run, tag) == want
    assert list(scalars("train", "batch_loss")) == [2, 4, 6, 8, 10, 12]
    assert list(scalars("train", "layer0_Dense/weights")) == [0, 2]
