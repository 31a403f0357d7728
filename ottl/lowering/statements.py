"""Statements as edits of the kernels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from airis.data import edits, fields
from airis.data.edits import Edit
from airis.data.expressions import AllOf, AnyOf, Compare, Exists, Expression, HasType, Matches, Not, Some, Type
from airis.data.fields import Attribute, Source
from airis.ottl import syntax
from airis.ottl.compiler import snake_case
from airis.ottl.contexts import Context
from airis.ottl.functions.editors import EDITORS
from airis.ottl.lowering.conditions import LoweredCondition, lower_condition
from airis.ottl.lowering.sources import (
    LEVELS,
    REPEATED,
    Located,
    NotLowered,
    Written,
    any_of,
    constant,
    is_constant,
    located,
    read,
    written,
)

_TYPE_OF_FIELD: Mapping[edits.Kind, Type] = {"text": "text", "int32": "int", "uint32": "int", "time": "int"}
_ANYTHING: frozenset[Type] = frozenset(("text", "bool", "int", "double", "bytes", "array", "map"))
_WHEN: Mapping[str, Literal["always", "absent", "present"]] = {
    "insert": "absent",
    "update": "present",
    "upsert": "always",
}


@dataclass(frozen=True, slots=True)
class LoweredStatement:
    """Edits of the kernels, where they are done, and what must hold for no item where they are to be used."""

    edits: tuple[Edit, ...]
    where: Expression | None
    doubt: Expression | None


def lower_statement(context: Context, statement: syntax.Statement) -> LoweredStatement:
    """A statement of a context for the kernels; raises NotLowered."""
    made, doubt = _Lowering(context, statement.editor).edits()
    level = LEVELS[context.name]
    if doubt is not None and level in REPEATED:
        doubt = Some(cast(Any, level), doubt)
    if statement.where is None:
        return LoweredStatement(tuple(made), None, doubt)
    where = lower_condition(context, statement.where)
    if level in where.levels and level in REPEATED:
        raise NotLowered(f"the kernels choose items, not each {context.name} of one", statement.where)
    return LoweredStatement(tuple(made), where.holds, _behind(where, doubt))


def _behind(where: LoweredCondition, doubt: Expression | None) -> Expression | None:
    """What an edit could not be done to matters where it is to be done."""
    return any_of(where.doubt, None if doubt is None else AllOf([where.holds, doubt]))


_Edits = tuple[Sequence[Edit], Expression | None]
"""With what must not hold."""


class _Lowering:
    """Of one call of an editor."""

    def __init__(self, context: Context, call: syntax.Call) -> None:
        self.context = context
        self.editor = call
        names = [parameter.name for parameter in EDITORS[call.function].parameters] if call.function in EDITORS else []
        self.given: dict[str, Any] = {}
        for index, argument in enumerate(call.arguments[: len(names)]):
            name = argument.name or names[index]
            self.given[name if name in names else snake_case(name)] = argument.value

    def edits(self) -> _Edits:
        make = _EDITORS.get(self.editor.function)
        if make is None:
            raise NotLowered(f"the kernels have no {self.editor.function}", self.editor)
        at = located(self.context, self.target)
        if at.level != LEVELS[self.context.name]:
            raise NotLowered(f"it writes to {at.level_name}, which several items have in common", self.target)
        try:
            return make(self, at)
        except ValueError as error:  # what no kernel can do, such as to write a number to a name
            raise NotLowered(str(error), self.editor) from None

    @property
    def target(self) -> syntax.Path:
        return cast(syntax.Path, self.given["target"])

    def constant(self, name: str, default: Any = None) -> Any:
        return constant(self.context, self.given[name]) if name in self.given else default

    # Editors

    def set(self, at: Located) -> _Edits:
        value = self.given["value"]
        target = written(self.context, self.target)
        if is_constant(value):
            literal = constant(self.context, value)
            if literal is None:
                return (), None
            return [edits.Set(target.source, cast(edits.Value, literal))], target.doubt
        if not isinstance(value, syntax.Path):
            raise NotLowered("a value that is neither written out nor a path", value)
        return self.copy(target, value)

    def copy(self, target: Written, value: syntax.Path) -> _Edits:
        found = read(self.context, value)
        types, in_range = self.taken(target.source, found.source)
        is_field = isinstance(found.source, fields.Field) and (found.source.level, found.source.name) in edits.FIELDS
        if found.source == target.source and (found.kind == "value" or (is_field and found.kind in ("text", "int"))):
            return (), any_of(found.doubt, target.doubt)
        if found.kind == "value":
            has_other = AllOf([Exists(found.source), Not(HasType(found.source, types))])
            doubts = (found.doubt, target.doubt, has_other, in_range)
            return [edits.Set(target.source, found.source)], any_of(*doubts)
        if found.kind == "id_text":
            field = cast(fields.Field, found.source)
            digits = Not(Matches(found.source, f"[0-9a-f]{{{2 * found.id_bytes}}}", whole=True))
            source = fields.Field(field.level, field.name.removesuffix(".string"))
            self.check_type("text", types, value)
            return [edits.Set(target.source, source)], any_of(target.doubt, digits)
        if found.kind not in ("text", "int") or not is_field:
            raise NotLowered("a copy of a field that the kernels cannot copy", value)
        self.check_type(cast(Type, found.kind), types, value)
        # A field that is empty or 0 is absent for the kernels, and a value for OTTL.
        empty: edits.Value = "" if found.kind == "text" else 0
        return [edits.Set(target.source, empty), edits.Set(target.source, found.source)], any_of(target.doubt, in_range)

    def taken(self, target: Source, source: Source) -> tuple[frozenset[Type], Expression | None]:
        """The types that a place takes, and what of a source's numbers it does not."""
        if isinstance(target, Attribute):
            return _ANYTHING, None
        kind = edits.FIELDS[target.level, target.name][0] if (target.level, target.name) in edits.FIELDS else "id"
        if kind == "id":
            raise NotLowered("a field that the kernels cannot write", self.target)
        if kind == "value":
            return _ANYTHING, None
        types = frozenset((_TYPE_OF_FIELD[kind],))
        if kind not in edits.RANGES:
            return types, None
        numbers = edits.RANGES[kind]
        return types, AnyOf([Compare(source, "<", numbers.start), Compare(source, ">=", numbers.stop)])

    def check_type(self, kind: Type, types: frozenset[Type], node: syntax.Node) -> None:
        if kind not in types:
            raise NotLowered("a value of a type that cannot be written there", node)

    def delete_key(self, at: Located) -> _Edits:
        key = self.constant("key")
        if at.is_attributes and not at.keys:
            return [edits.Delete(Attribute(at.level, key))], None
        holder = read(self.context, self.target)
        if holder.kind != "value":
            raise NotLowered("a target that is no map", self.target)
        inside: Source
        if isinstance(holder.source, Attribute):
            inside = Attribute(holder.source.level, holder.source.key, (*holder.source.path, key))
        else:
            inside = fields.Field(holder.source.level, holder.source.name, (*holder.source.path, key))
        return [edits.Delete(inside)], any_of(holder.doubt, Not(HasType(holder.source, ["map"])))

    def delete_matching_keys(self, at: Located) -> _Edits:
        self.check_is_all_attributes(at)
        return [edits.DeleteMatching(at.level, self.constant("pattern"))], None

    def keep_keys(self, at: Located) -> _Edits:
        self.check_is_all_attributes(at)
        return [edits.KeepKeys(at.level, self.constant("keys"))], None

    def truncate_all(self, at: Located) -> _Edits:
        self.check_is_all_attributes(at)
        if self.constant("truncation_marker"):
            raise NotLowered("the kernels leave no mark where they cut", self.given["truncation_marker"])
        return [edits.Truncate(at.level, self.constant("limit"))], None

    def merge_maps(self, at: Located) -> _Edits:
        self.check_is_all_attributes(at)
        if not is_constant(self.given["source"]):
            raise NotLowered("a map that is not written out", self.given["source"])
        when = _WHEN[self.constant("strategy")]
        source: Mapping[str, edits.Value] = self.constant("source")
        return [edits.Set(Attribute(at.level, key), value, when) for key, value in source.items()], None

    def check_is_all_attributes(self, at: Located) -> None:
        if not at.is_attributes or at.keys:
            raise NotLowered("the kernels do this to all attributes of something only", self.target)


_EDITORS: Mapping[str, Callable[[_Lowering, Located], _Edits]] = {
    "set": _Lowering.set,
    "delete_key": _Lowering.delete_key,
    "delete_matching_keys": _Lowering.delete_matching_keys,
    "keep_keys": _Lowering.keep_keys,
    "truncate_all": _Lowering.truncate_all,
    "merge_maps": _Lowering.merge_maps,
}
