"""Kinds of places in telemetry: how each is read and written, and with which types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.ottl.contexts.here import Here
from airis.ottl.values import (
    EvaluationError,
    Id,
    Parts,
    Time,
    Value,
    from_any,
    from_attributes,
    held,
    taken,
    type_name,
    write_any,
    write_attributes,
)

Where = Callable[[Here], Any]
"""The message that has a field."""
Key = Callable[[Any], Value]


class Field:
    """A field of one type."""

    types: tuple[type, ...] = ()
    what = ""

    def __init__(self, where: Where, name: str) -> None:
        self.where = where
        self.name = name

    def get(self, here: Here) -> Value:
        """What is there; nil where the message has no such field, as other kinds of data points."""
        return cast(Value, getattr(self.where(here), self.name, None))

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for another type."""
        if type(value) not in self.types:
            raise EvaluationError(f"{self.name} is {self.what}, not {type_name(value)}")
        message = self.where(here)
        if type(value) is not float and getattr(message, self.name, None) == value:
            return  # to write a default would make a status of nothing
        try:
            setattr(message, self.name, value)
        except AttributeError:
            raise EvaluationError(f"there is no {self.name} in this kind of data point") from None
        except (ValueError, TypeError) as error:
            raise EvaluationError(f"{self.name} cannot be {value!r}: {error}") from error


class Text(Field):
    """A string."""

    types = (str,)
    what = "a string"


class Whole(Field):
    """An integer, or an enumerator."""

    types = (int,)
    what = "an int"


class Real(Field):
    """A double."""

    types = (float,)
    what = "a double"


class Flag(Field):
    """A bool."""

    types = (bool,)
    what = "a bool"


class Moment(Field):
    """A time, of a field in nanoseconds since 1970."""

    def get(self, here: Here) -> Value:
        """What is there."""
        nano = super().get(here)
        return None if nano is None else Time(cast(int, nano))

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for what is no time."""
        if not isinstance(value, Time):
            raise EvaluationError(f"{self.name} is a time, not {type_name(value)}")
        Nano(self.where, self.name).set(here, value.unix_nano)


class Nano(Whole):
    """Nanoseconds since 1970, as an int."""

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError."""
        if type(value) is int and value < 0:
            value += 1 << 64  # as Go converts it
        super().set(here, value)


class IdField(Field):
    """An id of so many bytes."""

    def __init__(self, where: Where, name: str, size: int) -> None:
        super().__init__(where, name)
        self.size = size

    def get(self, here: Here) -> Value:
        """What is there; an id that is absent is zero."""
        raw = getattr(self.where(here), self.name)
        return Id(raw) if len(raw) == self.size else Id(self.size)

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for what is no id of this size."""
        if not isinstance(value, Id) or len(value) != self.size:
            kind = "TraceID" if self.size == 16 else "SpanID"
            raise EvaluationError(f"{self.name} is an id, such as {kind}(…) gives, not {type_name(value)}")
        setattr(self.where(here), self.name, bytes(value) if any(value) else b"")


class IdText(IdField):
    """An id in hexadecimal."""

    def get(self, here: Here) -> Value:
        """What is there; as the Collector has it, zeros where there is none."""
        return cast(Id, super().get(here)).hex()

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for what is no id in hexadecimal."""
        try:
            raw = bytes.fromhex(value) if isinstance(value, str) and " " not in value else b""
        except ValueError:
            raw = b""
        if len(raw) != self.size:
            raise EvaluationError(f"{self.name}.string is {2 * self.size} digits in hexadecimal, not {value!a}")
        super().set(here, Id(raw))


class Names(Field):
    """An enumerator by its name."""

    def __init__(self, where: Where, name: str, numbers: Mapping[str, int]) -> None:
        super().__init__(where, name)
        self.numbers = numbers
        self.names = {number: text for text, number in numbers.items()}

    def get(self, here: Here) -> Value:
        """The name; empty for a number without one."""
        return self.names.get(getattr(self.where(here), self.name), "")

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for what is none of the names."""
        if not isinstance(value, str) or value not in self.numbers:
            raise EvaluationError(f"{self.name} is one of {', '.join(self.numbers)}, not {value!a}")
        setattr(self.where(here), self.name, self.numbers[value])


class Numbers(Field):
    """A repeated number."""

    def __init__(self, where: Where, name: str, kind: type) -> None:
        super().__init__(where, name)
        self.kind = kind

    def get(self, here: Here) -> Value:
        """A list."""
        found = getattr(self.where(here), self.name, None)
        return None if found is None else list(found)

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for what is no list of such numbers."""
        if not isinstance(value, list) or any(type(item) is not self.kind for item in value):
            raise EvaluationError(f"{self.name} is a list of {self.kind.__name__}s")
        found = getattr(self.where(here), self.name, None)
        if found is None:
            raise EvaluationError(f"there is no {self.name} in this kind of data point")
        try:
            found[:] = value
        except (ValueError, TypeError) as error:
            raise EvaluationError(f"{self.name}: {error}") from error


class Repeated(Field):
    """Messages, which can be handed on and counted."""

    def get(self, here: Here) -> Value:
        """Copies."""
        found = getattr(self.where(here), self.name, None)
        if found is None:
            return None
        copies: list[Any] = []
        for message in found:
            copy = type(message)()
            copy.CopyFrom(message)
            copies.append(copy)
        return Parts(tuple(copies))

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for other messages."""
        found = getattr(self.where(here), self.name, None)
        if found is None or not isinstance(value, Parts):
            raise EvaluationError(f"{self.name} can be set to other {self.name} only, not to {type_name(value)}")
        try:
            del found[:]
            found.extend(value.messages)
        except TypeError as error:
            raise EvaluationError(f"{self.name}: {error}") from error


class Message(Field):
    """A single message, which can be handed on."""

    def get(self, here: Here) -> Value:
        """A copy."""
        found = getattr(self.where(here), self.name, None)
        if found is None:
            return None
        copy = type(found)()
        copy.CopyFrom(found)
        return Parts((copy,))

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for another message."""
        found = getattr(self.where(here), self.name, None)
        if found is None or not isinstance(value, Parts) or len(value.messages) != 1:
            raise EvaluationError(f"{self.name} can be set to another {self.name} only, not to {type_name(value)}")
        try:
            found.CopyFrom(value.messages[0])
        except TypeError as error:
            raise EvaluationError(f"{self.name}: {error}") from error


# Attributes and bodies


class Attributes:
    """All attributes of a message."""

    def __init__(self, where: Where, name: str = "attributes") -> None:
        self.where = where
        self.name = name

    def get(self, here: Here) -> Value:
        """A map."""
        return from_attributes(getattr(self.where(here), self.name))

    def set(self, here: Here, value: Value) -> None:
        """Write all; raises EvaluationError for what is no map."""
        if not isinstance(value, dict):
            raise EvaluationError(f"{self.name} is a map, not {type_name(value)}")
        write_attributes(getattr(self.where(here), self.name), value)


class Attribute:
    """What attributes have under a key, or under keys in one another."""

    def __init__(self, where: Where, keys: Sequence[Key], name: str = "attributes") -> None:
        self.where = where
        self.name = name
        self.keys = keys

    def get(self, here: Here) -> Value:
        """What is there; nil for a key that is absent. Raises EvaluationError for a key that cannot be one."""
        key = _text_key(self.keys[0](here))
        for attribute in getattr(self.where(here), self.name):
            if attribute.key == key:
                found = _inside(attribute.value, self.keys[1:], here)
                return None if found is None else from_any(found)
        return None

    def set(self, here: Here, value: Value) -> None:
        """Write; maps on the way are made. Raises EvaluationError."""
        _write_under(getattr(self.where(here), self.name), self.keys, here, value)


class Anything:
    """A value of any type, such as a body."""

    def __init__(self, where: Where, name: str) -> None:
        self.where = where
        self.name = name

    def get(self, here: Here) -> Value:
        """What is there."""
        return from_any(getattr(self.where(here), self.name))

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError for a value that telemetry does not have."""
        write_any(getattr(self.where(here), self.name), value)


class Inside(Anything):
    """What a value of any type has under keys."""

    def __init__(self, where: Where, name: str, keys: Sequence[Key]) -> None:
        super().__init__(where, name)
        self.keys = keys

    def get(self, here: Here) -> Value:
        """What is there; nil for a key that is absent. Raises EvaluationError for what has nothing in it."""
        found = _inside(getattr(self.where(here), self.name), self.keys, here)
        return None if found is None else from_any(found)

    def set(self, here: Here, value: Value) -> None:
        """Write; raises EvaluationError."""
        _write_inside(getattr(self.where(here), self.name), self.keys, here, value)


class AsText(Anything):
    """A value of any type as its text."""

    def get(self, here: Here) -> Value:
        """Its text; empty where there is nothing."""
        from airis.ottl.texts import text_of

        value = super().get(here)
        return "" if value is None else text_of(value)

    def set(self, here: Here, value: Value) -> None:
        """Write a text; raises EvaluationError for what is none."""
        if not isinstance(value, str):
            raise EvaluationError(f"{self.name}.string is a string, not {type_name(value)}")
        super().set(here, value)


class Cache:
    """What statements keep between them, for one item."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = keys

    def get(self, here: Here) -> Value:
        """What is there."""
        value: Value = here.cache
        for key in self.keys:
            if value is None:
                return None
            value = taken(value, key(here))
        return value

    def set(self, here: Here, value: Value) -> None:
        """Write; maps on the way are made. Raises EvaluationError."""
        if not self.keys:
            if not isinstance(value, dict):
                raise EvaluationError(f"the cache is a map, not {type_name(value)}")
            here.cache = dict(value)
            return
        inside: Value = here.cache
        for key in self.keys[:-1]:
            step = key(here)
            if isinstance(inside, dict) and isinstance(step, str) and inside.get(step) is None:
                inside[step] = {}
            inside = taken(inside, step)
        last = self.keys[-1](here)
        taken(inside, last)  # which says what is wrong with the key
        cast(Any, inside)[last] = value


class Fixed:
    """What is told and cannot be written."""

    def __init__(self, name: str, get: Callable[[Here], Value]) -> None:
        self.name = name
        self._get = get

    def get(self, here: Here) -> Value:
        """What is there."""
        return self._get(here)

    def set(self, here: Here, value: Value) -> None:
        """Raises EvaluationError."""
        raise EvaluationError(f"{self.name} cannot be set")


def _text_key(key: Value) -> str:
    if not isinstance(key, str):
        raise EvaluationError(f"attributes have keys of type string, not {type_name(key)}")
    return key


def _inside(value: AnyValue, keys: Sequence[Key], here: Here) -> AnyValue | None:
    for get in keys:
        key = get(here)
        match held(value):
            case "kvlist_value" if isinstance(key, str):
                entries = value.kvlist_value.values
                found = next((entry.value for entry in entries if entry.key == key), None)
                if found is None:
                    return None
                value = found
            case "array_value" if type(key) is int:
                value = value.array_value.values[_index(key, len(value.array_value.values))]
            case None:
                return None
            case kind:
                raise EvaluationError(f"nothing can be taken out of {_HELD[kind]} with a key of type {type_name(key)}")
    return value


_HELD = {
    "string_value": "a string",
    "bool_value": "a bool",
    "int_value": "an int",
    "double_value": "a double",
    "bytes_value": "bytes",
    "array_value": "a list",
    "kvlist_value": "a map",
}


def _index(key: int, count: int) -> int:
    if not 0 <= key < count:
        raise EvaluationError(f"index {key} is outside a list of {count}")
    return key


def _write_under(attributes: Any, keys: Sequence[Key], here: Here, value: Value) -> None:
    key = _text_key(keys[0](here))
    for attribute in attributes:
        if attribute.key == key:
            _write_inside(attribute.value, keys[1:], here, value)
            return
    attribute = attributes.add()
    attribute.key = key
    try:
        _write_inside(attribute.value, keys[1:], here, value)
    except EvaluationError:
        del attributes[-1]
        raise


def _write_inside(target: AnyValue, keys: Sequence[Key], here: Here, value: Value) -> None:
    if not keys:
        write_any(target, value)
        return
    key = keys[0](here)
    kind = held(target)
    if isinstance(key, str) and kind in ("kvlist_value", None):
        target.kvlist_value.SetInParent()
        _write_under(target.kvlist_value.values, keys, here, value)
    elif type(key) is int and kind == "array_value":
        items = target.array_value.values
        _write_inside(items[_index(key, len(items))], keys[1:], here, value)
    else:
        holder = "nothing" if kind is None else _HELD[kind]
        raise EvaluationError(f"nothing can be put into {holder} with a key of type {type_name(key)}")
