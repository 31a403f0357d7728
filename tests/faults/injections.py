"""What is done to airis from inside its process: faults of the machine, and protections that are switched off."""

from collections.abc import Callable

INJECTIONS: dict[str, Callable[[], None]] = {}
"""By name; each changes what is imported before airis runs."""


def injection(apply: Callable[[], None]) -> Callable[[], None]:
    INJECTIONS[apply.__name__] = apply
    return apply


def run(names: list[str], words: list[str]) -> None:
    """Be airis with these."""
    import sys

    from tests.faults import machine, mutations  # noqa: F401

    for name in names:
        INJECTIONS[name]()
    from airis.service.cli import main

    sys.argv = ["airis", *words]
    main()
