"""Show what passes through a pipeline as text for a person: counts, a line for each item, or everything."""

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Literal, TextIO

from google.protobuf.message import DecodeError
from pydantic import Field

from airis.component import Config, Exporter, Host, Permanent, StartError, Telemetry, exporter
from airis.component.config import ANY_CASE
from airis.data import Batch, Signal
from airis.exporters.debug.text import LAYOUTS, LINES, printable


class DebugConfig(Config):
    """How much is shown, and where."""

    verbosity: Annotated[Literal["basic", "normal", "detailed"], ANY_CASE] = Field(
        default="basic",
        description="basic: counts for each batch; normal: also a line for each item; detailed: everything.",
    )
    sampling_initial: int = Field(
        default=2, ge=0, description="Batches of a signal that are always shown in each second."
    )
    sampling_thereafter: int = Field(
        default=1, ge=0, description="Of the further ones in that second every nth is shown; 1 for all, 0 for none."
    )
    use_internal_logger: bool = Field(
        default=True,
        description="Write into airis's own log, as its level and encoding say; otherwise to output_paths.",
    )
    output_paths: list[str] = Field(
        default_factory=lambda: ["stdout"],
        min_length=1,
        description="stdout, stderr or files to append to; with use_internal_logger: false.",
    )


@exporter("debug", traces="beta", metrics="beta", logs="beta", profiles="alpha")
class DebugExporter(Exporter[DebugConfig]):
    """Print what comes.

    Nothing in telemetry reaches a terminal unescaped; the format may change.
    """

    def __init__(self, config: DebugConfig, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(config, telemetry)
        self._sampler = Sampler(config.sampling_initial, config.sampling_thereafter, clock)
        self._outputs: list[TextIO] = []
        self._files: list[TextIO] = []

    async def start(self, host: Host) -> None:
        """Open the output paths."""
        if not self.config.use_internal_logger:
            self._outputs = [self._open(path) for path in self.config.output_paths]

    async def shutdown(self) -> None:
        """Close the files."""
        self._outputs.clear()
        while self._files:
            self._files.pop().close()

    async def consume(self, batch: Batch) -> None:
        """Print the batch unless sampling leaves it out; a payload that cannot be read is Permanent."""
        if not self._sampler.takes(batch.signal):
            return
        layout = LAYOUTS[batch.signal]
        try:
            request = layout.request.FromString(batch.payload)
        except DecodeError as error:
            raise Permanent(f"{batch.signal} payload cannot be read: {error}") from error
        counts = layout.counts(request, batch.items)
        lines = list(map(printable, LINES[self.config.verbosity](layout, request)))
        if self.config.use_internal_logger:
            self.telemetry.log.info(batch.signal.value, **counts)
            for line in lines:
                self.telemetry.log.info(line)
        else:
            text = "\n".join([f"{batch.signal.value} {json.dumps(counts)}", *lines, ""])
            for output in self._outputs:
                output.write(text)
                output.flush()

    def _open(self, path: str) -> TextIO:
        if path in ("stdout", "stderr"):
            return sys.stdout if path == "stdout" else sys.stderr
        try:
            file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (kept until shutdown)
        except OSError as error:
            raise StartError(f"cannot append to {path}: {error.strerror}", "output_paths") from error
        self._files.append(file)
        return file


class Sampler:
    """Takes the first batches of each second, and every nth of the others, for each signal."""

    def __init__(self, initial: int, thereafter: int, clock: Callable[[], float]) -> None:
        self._initial = initial
        self._thereafter = thereafter
        self._clock = clock
        self._second = -1
        self._seen: dict[Signal, int] = {}

    def takes(self, signal: Signal) -> bool:
        """Whether this batch is shown."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._seen.clear()
        self._seen[signal] = self._seen.get(signal, 0) + 1
        beyond = self._seen[signal] - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)
