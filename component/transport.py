"""Which of two clients sends: the one of Rust, or the one of a Python library."""

from collections.abc import Callable
from typing import Literal, TypeVar

from airis.component.errors import StartError
from airis.component.telemetry import Telemetry
from airis.component.unsupported import Unsupported

Transport = Literal["auto", "native", "python"]

T = TypeVar("T")


def choose(transport: Transport, native: Callable[[], T], python: Callable[[], T], telemetry: Telemetry) -> T:
    """What `native` makes, or `python` where that is wanted, or all that there is; raises StartError.

    `native` raises Unsupported for an option that only the Python library has, and ImportError where airis was built
    without Rust.
    """
    if transport == "python":
        return python()
    try:
        return native()
    except ImportError as error:
        if transport == "native":
            raise StartError("airis was built without its native part; write python", "transport") from error
        reason, option = "airis was built without its native part", "transport"
    except Unsupported as error:
        if transport == "native":
            error.reason += "; write transport: python"
            raise
        reason, option = error.reason, error.option
    telemetry.log.info("sent by the Python transport", option=option, reason=reason)
    return python()
