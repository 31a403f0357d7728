"""A run of the load generator: warmed up, held until both sides are drained, then let go."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from processes import LOAD_CPU, Failed
from scenario import Load
from tools import LOAD


class Sending:
    """A generator that is held after its warm-up."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def warm(self) -> dict[str, Any]:
        """What became of the warm-up; all of it is answered."""
        warm: dict[str, Any] = self._read()["warm"]
        return warm

    def go(self) -> dict[str, Any]:
        """Let it send, and give what became of it once all is answered."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        said = self._read()
        return {**said["window"], **{key: said[key] for key in ("bytes_per_item", "wire_bytes_per_item")}}

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise Failed(f"the load generator ended: {errors.strip()}")
        return json.loads(line)


@contextmanager
def sending(load: Load, port: int, seconds: float, *, warmup: float, rate: float = 0.0) -> Iterator[Sending]:
    """Start the generator on its CPU; `rate` is in requests a second, 0 for as many as are answered."""
    options = {**load.model_dump(), "to": f"127.0.0.1:{port}", "seconds": seconds, "warmup": warmup, "rate": rate}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = ["taskset", "-c", str(LOAD_CPU), str(LOAD), "send", "--hold", "1", *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Sending(process)
        finally:
            process.kill()
