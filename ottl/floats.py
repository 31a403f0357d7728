"""Doubles as Go's fmt and strconv write them."""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal


def real(value: float, letter: str, precision: int | None, sharp: bool) -> str:
    """A double that is not negative, by a verb of Go's; `sharp` keeps the point and the zeros behind it."""
    point = "#" if sharp else ""
    if letter in "eE":
        return _exponent(f"{value:{point}.{6 if precision is None else precision}{letter}}")
    if letter in "fF":
        return f"{value:{point}.{6 if precision is None else precision}f}"
    if letter in "gGv":
        shown = _shortest(value, precision)
        if sharp:
            shown = _with_zeros(shown, 6 if precision is None else precision)
        return shown.upper() if letter == "G" else shown
    if letter == "b":
        mantissa, exponent = math.frexp(value)
        return f"{int(mantissa * 2**53)}p{exponent - 53:+}" if value else "0p-1074"
    shown = _hexadecimal(value, precision)
    return shown.upper() if letter == "X" else shown


def _exponent(text: str) -> str:
    digits, mark, exponent = text.replace("E", "e").partition("e")
    shown = f"{digits}e{exponent[0]}{exponent[1:].lstrip('0').rjust(2, '0')}" if mark else text
    return shown.upper() if "E" in text else shown


def _shortest(value: float, precision: int | None) -> str:
    number = Decimal(repr(value)) if precision is None else Decimal(value)
    limit = 6 if precision is None else max(1, precision)
    if precision is not None:
        number = Context(prec=limit, rounding=ROUND_HALF_EVEN).plus(number)
    if not number:
        return "0"
    number = number.normalize(Context(prec=800))
    return f"{number:f}" if -4 <= number.adjusted() < limit else _exponent(f"{number:e}")


def _with_zeros(text: str, count: int) -> str:
    """With zeros behind it, as ``#`` wants them."""
    digits, mark, exponent = text.partition("e")
    whole, _, fraction = digits.partition(".")
    have = len((whole + fraction).lstrip("0")) or 1
    return f"{whole}.{fraction}{'0' * max(0, count - have)}{mark}{exponent}"


def _hexadecimal(value: float, precision: int | None) -> str:
    if value == 0:
        digits = "0" * (precision or 0)
        return f"0x0{'.' if digits else ''}{digits}p+00"
    mantissa, exponent = math.frexp(value)
    bits = int(mantissa * 2**53)  # 1.fraction, the 1 above 52 bits
    exponent -= 1
    if precision is not None and precision < 13:
        drop = 4 * (13 - precision)
        half, rest = 1 << (drop - 1), bits & ((1 << drop) - 1)
        bits >>= drop
        bits += rest > half or (rest == half and bool(bits & 1))
        bits <<= drop
        if bits >> 53:
            bits >>= 1
            exponent += 1
    fraction = f"{bits & ((1 << 52) - 1):013x}"
    fraction = fraction.rstrip("0") if precision is None else fraction.ljust(precision, "0")[:precision]
    return f"0x1{'.' if fraction else ''}{fraction}p{'-' if exponent < 0 else '+'}{abs(exponent):02}"
