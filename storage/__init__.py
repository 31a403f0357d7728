"""The store: its process, its schema, reading and writing."""

from airis.storage.client import Address, Answer, Blocks, Store, StoreError

__all__ = ["Address", "Answer", "Blocks", "Store", "StoreError"]
