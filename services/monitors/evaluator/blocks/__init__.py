"""Sealed column blocks: the points of a closed span of time, ordered by series and compressed without loss."""

from monitors.evaluator.blocks.layout import DamagedBlock
from monitors.evaluator.blocks.opening import open_block
from monitors.evaluator.blocks.sealing import Block, seal

__all__ = ["Block", "DamagedBlock", "open_block", "seal"]
