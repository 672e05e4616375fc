from collections.abc import Collection

from fastnn.engine.plan import Plan

class Buffers:
    def __init__(
        self,
        plan: Plan,
        rows: int,
        training: bool,
        labels: bool = False,
        head: bool = False,
        to_input: bool = False,
        moving: bool = False,
        frozen: Collection[int] = ...,
    ) -> None: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def rows(self) -> int: ...
    @property
    def training(self) -> bool: ...
    def raise_error(self) -> None: ...
    def first_not_finite(self, rows: int) -> int | None: ...
