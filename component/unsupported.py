"""Options that airis, or one of its transports, knows and does not have: said in words, never taken in silence."""

from pydantic import AfterValidator

from airis.component.errors import StartError

NO_MIDDLEWARES = "middlewares are not supported yet; leave them out"


class Unsupported(StartError):
    """The native transport does not have what an option asks for; the Python one does."""


def not_supported(reason: str) -> AfterValidator:
    """A validator for ``Annotated``: any value but an empty one is an error with these words."""

    def refuse(value: object) -> object:
        if value:
            raise ValueError(reason)
        return value

    return AfterValidator(refuse)
