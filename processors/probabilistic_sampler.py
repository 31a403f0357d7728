"""Keep a share of the spans and log records, chosen so that every instance makes the same choice for a trace."""

import struct
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from airis.component import Config, Consumer, Partial, Permanent, Processor, Telemetry, processor
from airis.component.telemetry import left_out
from airis.data import Batch, Signal, kernels

LEAST_RATIO = 2.0**-56


class ProbabilisticSamplerConfig(Config):
    """Which share is kept, and what it is chosen by."""

    mode: Literal["hash_seed", "proportional", "equalizing"] = Field(
        default="hash_seed",
        description="hash_seed compares a hash of the trace id or of an attribute; the other two OpenTelemetry's "
        "consistent randomness: proportional keeps this share of what arrives, equalizing leaves of what was sampled "
        "before only as much out as is needed to come to this share.",
    )
    sampling_percentage: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Share of the items to keep, in percent, as a float of 32 bits. 0 keeps none, 100 and more all.",
    )
    hash_seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="For the mode hash_seed: the same on every instance of a tier; different between tiers.",
    )
    fail_closed: bool = Field(
        default=True,
        description="Whether items go that have no randomness, or whose sampling information is malformed or "
        "contradicts itself. They stay otherwise, and are counted in both cases.",
    )
    sampling_precision: int = Field(
        default=4,
        ge=1,
        le=14,
        description="Hexadecimal digits of a threshold that is made of a percentage, behind those that a share near "
        "0 or all begins with. hash_seed has 14 bits, which are written as they are.",
    )
    attribute_source: Literal["traceID", "record"] = Field(
        default="traceID",
        description="Logs, mode hash_seed: whether the trace id is hashed, or only what from_attribute names.",
    )
    from_attribute: str = Field(
        default="",
        description="Logs, mode hash_seed: the attribute that is hashed where there is no trace id or where it is "
        "not to be.",
    )
    sampling_priority: str = Field(
        default="",
        description="Logs: an attribute with the share, in percent, by which its own record is kept; one that is no "
        "number above 0 and up to 100 has no effect. For spans it is always `sampling.priority`.",
    )

    @field_validator("sampling_percentage")
    @classmethod
    def _can_be_expressed(cls, percentage: float) -> float:
        rounded = struct.unpack("<f", struct.pack("<f", min(percentage, 100.0)))[0]
        if percentage and rounded / 100 < LEAST_RATIO:
            raise ValueError(f"{percentage:g}% is too small; write 0, or at least 2**-56 of all")
        return percentage


@processor("probabilistic_sampler", traces="beta", logs="alpha")
class ProbabilisticSampler(Processor[ProbabilisticSamplerConfig]):
    """Keep the spans and log records whose randomness is at least a threshold.

    The randomness is the same for all of a trace, so that a trace is kept or left out as a whole, and what is kept of
    a smaller share is kept of a larger one. The threshold is written into what is kept: in OpenTelemetry's member of
    a span's trace state, in the attributes `sampling.threshold` and `sampling.randomness` of a log record. Of a trace
    state only that member changes; one that is malformed, or in which there is no room, stays as it is and is counted.

    A span with the attribute `sampling.priority` is kept where it is more than 0, and left out where it is 0.
    A batch with nothing left is acknowledged here.
    """

    def __init__(self, config: ProbabilisticSamplerConfig, downstream: Consumer, telemetry: Telemetry) -> None:
        super().__init__(config, downstream, telemetry)
        self._sampler = kernels.Sampler(
            config.mode,
            config.sampling_percentage,
            hash_seed=config.hash_seed,
            precision=config.sampling_precision,
            fail_closed=config.fail_closed,
            by_trace_id=config.attribute_source == "traceID",
            from_attribute=config.from_attribute,
            priority_attribute=config.sampling_priority,
        )
        self.decided = {
            signal: telemetry.counter(f"count_{signal}_sampled", "1", f"{what} that were sampled or not.")
            for signal, what in ((Signal.TRACES, "Spans"), (Signal.LOGS, "Log records"))
        }
        self.left_out = left_out(telemetry)
        self.faults = telemetry.counter(
            "faults", "{item}", "Spans and log records whose sampling information was not there, or not usable."
        )

    async def consume(self, batch: Batch) -> None:
        """Hand on what is kept; a batch with none left is acknowledged here."""
        if batch.signal not in self.decided:
            raise Permanent(f"{batch.signal} cannot be sampled")
        view = batch.view()
        kept, counts = self._sampler.apply(view)
        try:
            if kept.items:
                await self.downstream.consume(batch if kept is view else batch.with_view(kept))
        except Partial:
            self._decide(batch, kept.items, counts.items())
            raise
        # Behind the hand-over: a batch that was refused and sent again counts once.
        self._decide(batch, kept.items, counts.items())

    def _decide(self, batch: Batch, kept: int, counts: Iterable[tuple[tuple[str, bool, str], int]]) -> None:
        self.left_out.add(batch.items - kept, reason="sampled")
        for (policy, is_kept, fault), items in counts:
            self.decided[batch.signal].add(items, policy=policy, sampled="true" if is_kept else "false")
            if fault:
                self.faults.add(items, fault=fault, sampled="true" if is_kept else "false")
