"""The store: its process, its schema, reading and writing."""

from airis.storage.client import Address, Answer, Store, StoreError

__all__ = ["Address", "Answer", "Store", "StoreError"]
