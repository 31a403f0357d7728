"""Hands every part of the telemetry on to the pipelines whose condition holds for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airis.component import (
    Config,
    Connector,
    ConsumeError,
    Host,
    Outputs,
    Partial,
    Permanent,
    Retryable,
    StartError,
    Telemetry,
    connector,
)
from airis.component.telemetry import left_out, made, unacknowledged
from airis.connectors.routing.conditions import (
    Always,
    Condition,
    Piece,
    condition_in,
    condition_of,
    pieces_of,
)
from airis.data import Batch, Signal, kernels
from airis.ottl.options import ERROR_MODE, ErrorMode
from airis.ottl.running import Faults

TRIES = 6
FIRST_DELAY_S = 0.1
"""Doubles with every try: some 3 s in all, as long as other pipelines have their parts already."""


class RouteConfig(Config):
    """A condition, and the pipelines for what it holds for."""

    context: Literal["", "request", "resource", "span", "metric", "datapoint", "log"] = Field(
        default="",
        description="What the paths of the condition belong to. Without it what they begin with says so, else it is "
        "resource. request: what the client sent.",
    )
    condition: str = Field(
        default="",
        description='In the OpenTelemetry Transformation Language; with request only request["key"] == "value" or !=, '
        "for which the receiver has to have include_metadata.",
    )
    statement: str = Field(default="", description="Instead of condition: route() where and the condition.")
    action: Literal["move", "copy"] = Field(
        default="move", description="copy: the routes below, and default_pipelines, are given it as well."
    )
    pipelines: list[str] = Field(default_factory=list[str], description="Ids of pipelines of one signal. Required.")

    @field_validator("pipelines")
    @classmethod
    def _are_of_one_signal(cls, pipelines: list[str]) -> list[str]:
        if len({_signal_of(pipeline) for pipeline in pipelines}) > 1:
            raise ValueError("the pipelines of a route must be of one signal")
        return pipelines

    @model_validator(mode="after")
    def _can_be_compiled(self) -> Self:
        if not self.pipelines:
            raise ValueError("needs pipelines")
        if bool(self.condition) == bool(self.statement):
            raise ValueError("needs either a condition or a statement")
        if self.context == "request" and self.statement:
            raise ValueError("in the context request there are only conditions")
        self.compiled("ignore")
        return self

    @property
    def signal(self) -> Signal:
        """Of the pipelines, and of what is routed."""
        return _signal_of(self.pipelines[0])

    def compiled(self, error_mode: ErrorMode) -> Condition:
        """The condition."""
        text = condition_in(self.statement) if self.statement else self.condition
        return Always() if text is None else condition_of(text, self.context, self.signal, error_mode)


def _signal_of(pipeline: str) -> Signal:
    name = pipeline.partition("/")[0].strip()
    if name not in ("traces", "metrics", "logs"):
        raise ValueError(f'"{pipeline}" is no pipeline of traces, metrics or logs')
    return Signal(name)


class RoutingConfig(Config):
    """The routes, in the order in which they are tried."""

    table: list[RouteConfig] = Field(default_factory=list[RouteConfig], description="The routes. Required.")
    default_pipelines: list[str] = Field(
        default_factory=list[str],
        description="For what no route takes. Without them it is left out, and counted.",
    )
    error_mode: ErrorMode = Field(
        default="ignore", description=f"{ERROR_MODE} A condition that cannot be carried out does not hold."
    )
    match_once: bool = Field(
        default=True,
        description="false, which the Collector no longer has: every route whose condition holds is given the "
        "telemetry, and default_pipelines what none holds for.",
    )

    @field_validator("default_pipelines")
    @classmethod
    def _are_pipelines(cls, pipelines: list[str], info: ValidationInfo) -> list[str]:
        for pipeline in pipelines:
            _signal_of(pipeline)
        return pipelines

    @model_validator(mode="after")
    def _has_routes(self) -> Self:
        if not self.table:
            raise ValueError("table needs a route")
        return self


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled route."""

    condition: Condition
    pipelines: Sequence[str]
    copies: bool


@dataclass(slots=True)
class Part:
    """What one pipeline is to have of a batch, and what came of it."""

    pipeline: str
    batch: Batch
    extra: int = 0
    """Items of it that another pipeline has as well: they are made."""
    error: ConsumeError | None = None
    taken: int = 0

    @property
    def is_to_come(self) -> bool:
        """Whether it is still to be handed on."""
        return not self.taken and (self.error is None or isinstance(self.error, Retryable))

    @property
    def rejected(self) -> int:
        """Items that would be rejected again."""
        if isinstance(self.error, Partial):
            return min(self.error.rejected, self.batch.items)
        return self.batch.items if isinstance(self.error, Permanent) else 0


_SIGNALS = (Signal.TRACES, Signal.METRICS, Signal.LOGS)


@connector("routing", {(signal, signal): "beta" for signal in _SIGNALS})
class RoutingConnector(Connector[RoutingConfig]):
    """Hand telemetry on to the pipelines of the first route whose condition holds for it.

    Conditions on resources and requests do not read the items; those on items do, one by one. A batch is acknowledged
    when all pipelines took their parts. One that says "try again later" is tried again for 3 seconds when others have
    taken theirs; after that the sender is told to try again, and those have their parts twice.
    """

    keeps_items = True

    def __init__(
        self,
        config: RoutingConfig,
        downstream: Outputs,
        telemetry: Telemetry,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self._sleep = sleep
        self._faults = Faults(telemetry)
        self._routes: dict[Signal, list[Route]] = {signal: [] for signal in _SIGNALS}
        for each in config.table:
            copies = each.action == "copy" or not config.match_once
            self._routes[each.signal].append(Route(each.compiled(config.error_mode), each.pipelines, copies))
        self._default = {
            signal: [pipeline for pipeline in config.default_pipelines if _signal_of(pipeline) is signal]
            for signal in _SIGNALS
        }
        self.made = made(telemetry)
        self.left_out = left_out(telemetry)
        self.unacknowledged = unacknowledged(telemetry)

    async def start(self, host: Host) -> None:
        """Raise StartError for a pipeline that the connector does not feed."""
        named = [*(pipeline for each in self.config.table for pipeline in each.pipelines)]
        for pipeline in [*named, *self.config.default_pipelines]:
            if pipeline not in self.downstream.by_pipeline:
                option = "table" if pipeline in named else "default_pipelines"
                raise StartError(f'no pipeline "{pipeline}" has this connector as a receiver', option)

    async def consume(self, batch: Batch) -> None:
        """Return when all pipelines took their parts. Permanent where a condition fails and errors propagate."""
        parts, nowhere = self._parts(batch)
        try:
            await self._hand_on(parts)
        except asyncio.CancelledError:
            self._count_unacknowledged(parts)
            raise
        again = [part.error for part in parts if isinstance(part.error, Retryable)]
        if again:
            self._count_unacknowledged(parts)
            raise max(again, key=lambda error: error.retry_after or 0.0)
        errors = [part.error for part in parts if part.error is not None]
        if errors and not nowhere and not any(part.taken for part in parts):
            raise Permanent(errors[0].reason)
        self.left_out.add(nowhere, reason="no_route")
        if errors:
            rejected = min(sum(part.rejected for part in parts), batch.items)
            # One pipeline may have taken what another one rejected.
            taken = sum(part.taken for part in parts) - _made_of(parts)
            self.made.add(taken + nowhere + rejected - batch.items)
            raise Partial(rejected, errors[0].reason)

    def _parts(self, batch: Batch) -> tuple[list[Part], int]:
        """What each pipeline is to have, and how many items none has."""
        routes = self._routes.get(batch.signal, [])
        left = pieces_of(batch, [route.condition for route in routes])
        parts: list[Part] = []
        copies: list[Part] = []
        for route in routes:
            matched, rest = self._parted(route.condition, left)
            found = _parts_of(batch, matched, route.pipelines)
            parts += found
            if route.copies:
                copies += found[:1]
                matched = [replace(piece, is_copied=True) for piece in matched]
            left = [*rest, *matched] if route.copies else rest
        default = self._default.get(batch.signal, [])
        for_default = [piece for piece in left if self.config.match_once or not piece.is_copied]
        parts += _parts_of(batch, for_default, default)
        nowhere = 0 if default else sum(piece.view.items for piece in left if not piece.is_copied)
        extra = sum(part.batch.items for part in parts) - (batch.items - nowhere)
        # Those beside the first of a route are extra; what is left of the number is so of copies.
        for part in [*(part for part in parts if part.extra), *reversed(copies)]:
            part.extra = min(part.batch.items, extra)
            extra -= part.extra
        return parts, nowhere

    def _parted(self, condition: Condition, pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
        matched: list[Piece] = []
        rest: list[Piece] = []
        for piece in pieces:
            for view, into in zip(condition.parted(piece, self._faults), (matched, rest), strict=True):
                if view is not None:
                    into.append(replace(piece, view=view))
        return matched, rest

    async def _hand_on(self, parts: Sequence[Part]) -> None:
        """To all at once; what has to come again is tried for a while where something was taken already."""
        delay = FIRST_DELAY_S
        for attempt in range(TRIES):
            to_come = [part for part in parts if part.is_to_come]
            await asyncio.gather(*(self._hand_over(part) for part in to_come))
            to_come = [part for part in to_come if part.is_to_come]
            if not to_come or len(to_come) == len(parts) or attempt == TRIES - 1:
                return
            await self._sleep(delay)
            delay *= 2

    async def _hand_over(self, part: Part) -> None:
        pipeline = self.downstream.by_pipeline.get(part.pipeline)
        if pipeline is None:
            part.error = Retryable(f"pipeline {part.pipeline} is not there any more")
            return
        try:
            await pipeline.consume(part.batch)
        except Partial as error:
            part.error = error
            part.taken = part.batch.items - part.rejected
        except ConsumeError as error:
            part.error = error
        else:
            part.error = None
            part.taken = part.batch.items
            # In the step in which they are handed on: the ledger must not see more come out than went in.
            self.made.add(part.extra)

    def _count_unacknowledged(self, parts: Sequence[Part]) -> None:
        self.unacknowledged.add(sum(part.taken for part in parts) - _made_of(parts))


def _made_of(parts: Sequence[Part]) -> int:
    return sum(part.extra for part in parts if part.error is None and part.taken)


def _parts_of(batch: Batch, pieces: Sequence[Piece], pipelines: Sequence[str]) -> list[Part]:
    """The same for each pipeline; none where there is nothing."""
    if not pieces or not pipelines:
        return []
    view = kernels.concat([piece.view for piece in pieces])
    own = batch if view is batch.view() else batch.with_view(view)
    return [Part(pipeline, own, extra=own.items if number else 0) for number, pipeline in enumerate(pipelines)]
