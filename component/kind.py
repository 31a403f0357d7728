"""The kinds of component."""

from enum import StrEnum


class Kind(StrEnum):
    """Spelt as their entry-point group and section without the plural."""

    RECEIVER = "receiver"
    PROCESSOR = "processor"
    EXPORTER = "exporter"
    CONNECTOR = "connector"
    EXTENSION = "extension"

    @property
    def section(self) -> str:
        """The top-level key that configures this kind."""
        return f"{self}s"
