"""fastnn.functional at its edges: arrays that are empty or lie over one another, names, and errors that name."""

from __future__ import annotations

import pytest

from fastnn import _core


def test_a_stream_that_16_bits_do_not_hold_is_refused() -> None:
    for draw in (_core.random_uniform, _core.random_normal, _core.random_permutation):
        assert len(draw(3, 0, 65535)) == 3
        with pytest.raises(ValueError, match="^stream: expected .* at most 65535, got 65536"):
            draw(3, 0, 65536)
