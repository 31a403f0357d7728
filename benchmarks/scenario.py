"""What is measured: the files in ``scenarios/``, one for each path through the systems."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FOLDER = Path(__file__).parent / "scenarios"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Load(_Part):
    """What `airis-load` sends; its options have the same names."""

    protocol: Literal["grpc", "http"] = "grpc"
    kind: Literal["spans", "logs", "numbers", "histograms"] = "spans"
    items: int = Field(512, ge=1, description="Items in a request.")
    compression: Literal["none", "gzip", "zstd"] = "none"
    ids: Literal["fixed", "unique"] = "fixed"
    variants: int = Field(8, ge=1, description="Different bodies, sent in turn.")
    connections: int = Field(8, ge=1)
    streams: int = Field(8, ge=1, description="Calls at a time on a connection, over gRPC.")


class Goal(_Part):
    """What a figure of airis has to be; all are medians of paired runs."""

    cpu_s_per_million: float | None = None
    times_cheaper: float | None = Field(None, description="Than rotel, in the same run.")
    requests_per_core_second: float | None = None
    times_the_store: float | None = Field(None, description="Of what the store itself costs for the same blocks.")
    rss_times_steady: float | None = None
    times_without_log: float | None = Field(None, description="Of what the same costs without the log.")
    replay_mb_per_s: float | None = Field(None, description="At least.")
    start_s: float | None = Field(None, description="At most, with a backlog of 10 GB.")


class Case(_Part):
    """One row of a table."""

    name: str
    load: Load = Load()
    goal: Goal = Goal()
    backlog_mib: int = Field(0, description="Of the log, where one is replayed.")
    env: dict[str, str] = Field({}, description="Variables for the configurations, beside those of the ports.")
    rotel: bool = Field(True, description="Whether the peer can do it.")
    not_yet: str = Field("", description="Why airis cannot do it today.")


class Scenario(_Part):
    """One path, and what goes along it.

    The configurations find the ports in variables: GRPC and HTTP to receive at, METRICS, SINK and CLICKHOUSE; and
    TAKES, whether a backlog is delivered yet.
    """

    title: str
    about: str = ""
    measure: Literal["saturation", "latency", "overload", "store", "log", "replay"] = "saturation"
    end: Literal["exporter", "sink"] = Field(
        "exporter", description="Who counts what arrived: the last component's own metric, or the sink."
    )
    airis: str = Field("", description="A whole configuration.")
    without_log: str = Field("", description="The same configuration without the log.")
    rotel: list[str] | None = Field(None, description="Options of `rotel start`; None where it has no such path.")
    cases: list[Case]

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        if not self.airis and not all(case.not_yet for case in self.cases):
            raise ValueError("needs a configuration of airis, or cases that cannot be measured yet")
        names = [case.name for case in self.cases]
        if len(names) != len(set(names)):
            raise ValueError("two cases have one name")
        return self


def load_all() -> dict[str, Scenario]:
    """The scenarios by the names of their files, in order."""
    files = sorted(FOLDER.glob("*.yaml"))
    return {file.stem: Scenario.model_validate(yaml.safe_load(file.read_text())) for file in files}
