"""Numbers that are read at a glance: two or three digits and a prefix."""

_COUNTS = ("", "k", "M", "G", "T", "P")
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(amount: float) -> str:
    """How many: ``7``, ``0.5``, ``1.2k``, ``12.3M``."""
    digits, power = _scaled(amount, 1000)
    return f"{digits}{_COUNTS[power]}"


def size(amount_bytes: float) -> str:
    """How large: ``512 B``, ``3.4 MiB``."""
    digits, power = _scaled(amount_bytes, 1024)
    return f"{digits} {_SIZES[power]}"


def _scaled(amount: float, base: int) -> tuple[str, int]:
    """The digits, and the power of the base that they are to be multiplied with."""
    power = 0
    while abs(amount) >= 999.5 and power < len(_COUNTS) - 1:
        amount /= base
        power += 1
    decimals = 1 if abs(amount) < 99.95 and (power or amount != round(amount)) else 0
    return f"{amount:.{decimals}f}", power
