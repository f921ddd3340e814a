"""The fields that say what nodes store, the same for edge server, cloud and rows of `nodes`."""

from typing import Any

from pydantic import Field

STORAGE: Any = Field(
    None,
    description="Room to store units (weights and running statistics), bytes, with framework 'multi-hop'; absent: no "
    "limit.",
)
STORED: Any = Field(
    (),
    description="Units, from 1, that it stores when an episode begins, such as those that other tasks need, too; with "
    "framework 'multi-hop'. A unit that it also trains takes room once.",
)
