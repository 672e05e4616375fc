"""Every peer that is installed does the same work as fastnn, and the comparison that says so can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import peers
import pytest
from workloads import ACTIVATIONS, PREDICT, TRAIN

from fastnn._bench.steps import NETS
from fastnn._bench.workload import TOLERANCE, NotExpressibleError, Train, Workload, differs

SMALL = [w for w in TRAIN if w.key in ("T1", "T2", "T5", "T7")] + PREDICT[:2] + ACTIVATIONS
OTHERS = [name for name in peers.installed() if name not in ("fastnn", "torch.compile")]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("workload", SMALL, ids=lambda w: w.key)
def test_a_peer_does_the_same_work(workload: Workload, name: str) -> None:
    try:
        theirs = workload.side(peers.load(name, 1)).check()
    except NotExpressibleError as reason:
        pytest.skip(str(reason))
    ours = workload.side(peers.load("fastnn", 1)).check()
    assert np.ptp(ours) > 0
    assert differs(workload, theirs, ours) <= TOLERANCE


def test_other_mathematics_is_found_out() -> None:
    workload = Train("T1", NETS["T1"])
    other = Train("T1", replace(NETS["T1"], learning_rate=1.02 * NETS["T1"].learning_rate))
    reference = workload.losses(peers.load("fastnn", 1))
    assert differs(workload, other.losses(peers.load("numpy", 1)), reference) > TOLERANCE
