"""A profile in the format of pprof: a gzipped protobuf message, written by hand since it is so small."""

import gzip
from collections.abc import Iterable
from types import CodeType

from airis.extensions.pprof.cpu import Profile, Sampled
from airis.proto.wire import length_delimited, to_varint

OTHER = "(other stacks)"
WITHOUT_PYTHON = "(threads without Python)"


def encode(profile: Profile, period_ns: int) -> bytes:
    """What ``go tool pprof`` and other tools read (profile.proto)."""
    writer = _Writer()
    samples = [
        writer.sample(thread, [writer.location(code, line) for code, line in stack], sampled)
        for (thread, stack), sampled in profile.stacks.items()
    ]
    for name, rest in ((OTHER, profile.other), (WITHOUT_PYTHON, Sampled(0, profile.without_python_ns))):
        if rest.cpu_ns:
            samples.append(writer.sample("", [writer.unknown(name)], rest))
    cpu = writer.value_type("cpu", "nanoseconds")
    message = b"".join(
        [
            length_delimited(1, writer.value_type("samples", "count")),
            length_delimited(1, cpu),
            *(length_delimited(2, sample) for sample in samples),
            *(length_delimited(4, location) for location in writer.locations.values()),
            *(length_delimited(5, function) for function in writer.functions.values()),
            _int(9, profile.started_unix_ns),
            _int(10, profile.duration_ns),
            length_delimited(11, cpu),
            _int(12, period_ns),
        ]
    )
    strings = b"".join(length_delimited(6, text.encode("utf-8", "replace")) for text in writer.strings)
    return gzip.compress(message + strings)


class _Writer:
    """The tables of a profile, in which everything is a number."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {"": 0}
        self.functions: dict[CodeType | str, bytes] = {}
        self.locations: dict[tuple[CodeType | str, int], bytes] = {}
        self._function_ids: dict[CodeType | str, int] = {}
        self._location_ids: dict[tuple[CodeType | str, int], int] = {}

    def value_type(self, name: str, unit: str) -> bytes:
        return _int(1, self._string(name)) + _int(2, self._string(unit))

    def sample(self, thread: str, locations: Iterable[int], sampled: Sampled) -> bytes:
        label = _int(1, self._string("thread")) + _int(2, self._string(thread))
        return _ints(1, locations) + _ints(2, (sampled.samples, sampled.cpu_ns)) + length_delimited(3, label)

    def location(self, code: CodeType, line: int) -> int:
        function = self._function(code, code.co_qualname, code.co_filename, code.co_firstlineno)
        return self._location(code, function, line)

    def unknown(self, name: str) -> int:
        """A place that stands for what has no stack."""
        return self._location(name, self._function(name, name, "", 0), 0)

    def _location(self, key: CodeType | str, function: int, line: int) -> int:
        number = self._location_ids.setdefault((key, line), len(self._location_ids) + 1)
        self.locations[key, line] = _int(1, number) + length_delimited(4, _int(1, function) + _int(2, line))
        return number

    def _function(self, key: CodeType | str, name: str, file: str, line: int) -> int:
        number = self._function_ids.setdefault(key, len(self._function_ids) + 1)
        named = self._string(name)
        self.functions[key] = (
            _int(1, number) + _int(2, named) + _int(3, named) + _int(4, self._string(file)) + _int(5, line)
        )
        return number

    def _string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))


def _int(field: int, value: int) -> bytes:
    return to_varint(field << 3) + to_varint(value)


def _ints(field: int, values: Iterable[int]) -> bytes:
    return length_delimited(field, b"".join(map(to_varint, values)))
