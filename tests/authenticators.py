"""An authenticator that tests control."""

import asyncio

from airis.component.authentication import Credentials, Denied, Identity, ServerAuthenticator, Unauthenticated


class Known(ServerAuthenticator):
    """Lets those in whose ``Authorization`` it knows; asked for what is `Denied`, it raises that."""

    reads = ("authorization",)
    challenge = 'Known realm="test"'

    def __init__(self, **known: Identity | Denied) -> None:
        super().__init__()
        self.known: dict[str, Identity | Denied] = dict(known)
        self.asked: list[str] = []
        """What was decided, in order."""
        self.gate = asyncio.Event()
        """Cleared, it holds every decision until it is set again."""
        self.gate.set()
        self._asking = asyncio.Event()

    async def authenticate(self, credentials: Credentials) -> Identity:
        value = next(iter(credentials.get("authorization", ())), "")
        self.asked.append(value)
        self._asking.set()
        await self.gate.wait()
        found = self.known.get(value)
        if found is None:
            raise Unauthenticated("nobody" if value else "missing")
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def has_listeners(self) -> bool:
        """Whether somebody wants to hear of changes."""
        return bool(self._forgetting)

    async def until_asked(self, times: int) -> None:
        """Return when it was asked so often."""
        while len(self.asked) < times:
            self._asking.clear()
            await self._asking.wait()


def named(subject: str, valid_s: float | None = None) -> Identity:
    """A client of this name."""
    return Identity({"subject": subject}, valid_s)
