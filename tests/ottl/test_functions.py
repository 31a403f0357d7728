"""Functions are declared with the names that the Collector calls them and their arguments by."""

import inspect
import re

import pytest

from airis.ottl.functions import FILTER, TRANSFORM
from airis.ottl.functions.parsing import TRANSFORM_ONLY

from .evaluation import COMPILER, value_of

SIGNATURES = re.findall(
    r".+",
    """
All(source, predicate)
Any(source, predicate)
append(target, value?, values?)
Base64Decode(target)
Base64Encode(target, variant?)
Bool(target)
Coalesce(values)
Concat(vals, delimiter)
ContainsValue(target, item)
ConvertCase(target, to_case)
Day(time)
Decode(target, encoding)
delete_index(target, start_index, end_index?)
delete_key(target, key)
delete_matching_keys(target, pattern)
Double(target)
Duration(duration)
Filter(source, predicate)
Find(source, predicate, mapper?)
flatten(target, prefix?, depth?, resolve_conflicts?)
Format(format, vals)
FormatTime(time, format)
HasPrefix(target, prefix)
HasSuffix(target, suffix)
Hex(target)
Hour(time)
Hours(duration)
Index(target, value)
Int(target)
IsBool(target)
IsDouble(target)
IsEmpty(target)
IsInt(target)
IsList(target)
IsMap(target)
IsMatch(target, pattern)
IsRootSpan()
IsString(target)
keep_keys(target, keys)
keep_matching_keys(target, pattern)
Keys(target)
Len(target)
limit(target, limit, priority_keys)
Log(target)
MapEach(source, mapper)
MapKeys(source, key_mapper)
merge_maps(target, source, strategy)
Microseconds(duration)
Milliseconds(duration)
Minute(time)
Minutes(duration)
Month(time)
Nanosecond(time)
Nanoseconds(duration)
Now()
ParseInt(target, base)
ProfileID(target)
Reduce(source, seed, accumulator)
replace_all_matches(target, pattern, replacement, function?, replacement_format?)
replace_all_patterns(target, mode, regex_pattern, replacement, function?, replacement_format?)
replace_match(target, pattern, replacement, function?, replacement_format?)
replace_pattern(target, regex_pattern, replacement, function?, replacement_format?)
Second(time)
Seconds(duration)
set(target, value)
SliceToMap(target, key_path?, value_path?)
Sort(target, order?)
SpanID(target)
Split(target, delimiter)
String(target)
stringify_all(target)
Substring(target, start, length, utf8_safe?)
Time(time, format, location?, locale?)
ToCamelCase(target)
ToKeyValueString(target, delimiter?, pair_delimiter?, sort_output?)
ToLowerCase(target)
ToSnakeCase(target)
ToUpperCase(target)
TraceID(target)
Trim(target, replacement?)
TrimPrefix(target, prefix)
TrimSuffix(target, suffix)
truncate_all(target, limit, utf8_safe?, truncation_marker?)
TruncateTime(time, duration)
Unix(seconds, nanoseconds?)
UnixMicro(time)
UnixMilli(time)
UnixNano(time)
UnixSeconds(time)
UUID()
UUIDv7()
Values(target)
Weekday(time)
When(condition, true_value, false_value)
Year(time)
""",
)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_function_is_called_as_in_the_collector(signature: str) -> None:
    assert TRANSFORM[signature.partition("(")[0]].signature() == signature


@pytest.mark.parametrize("name", sorted({**TRANSFORM, **FILTER}))
def test_a_function_says_on_one_line_what_it_does(name: str) -> None:
    first, *_ = (inspect.getdoc({**TRANSFORM, **FILTER}[name].make) or "").split("\n\n")

    assert re.fullmatch(r"[^\n]+[.]", first)


def test_arguments_can_be_given_by_name_in_both_spellings() -> None:
    assert value_of('Split(delimiter="/", target=name)') == ["GET ", "x"]
    assert value_of('SliceToMap(attributes["things"], keyPath=["name"], value_path=["value"])') == {"foo": 2, "bar": 5}
    assert value_of('Substring("é!", 0, 2, utf8Safe=true)') == "é"


def test_converters_alone_can_be_used_in_the_filter() -> None:
    assert {name for name in FILTER if name[0].islower()} == set()
    assert FILTER.keys() >= {name for name in TRANSFORM if name[0].isupper()} - TRANSFORM_ONLY.keys()


def test_a_statement_can_have_all_of_them_in_one_another() -> None:
    text = """Concat(MapEach(Sort(Keys({"b": 1, "a": 2})), (i, k) => Format("%d:%s", [i, ToUpperCase(k)])), ", ")"""

    with pytest.raises(ValueError, match="vals of Concat is a list"):
        COMPILER.value(text)
    assert value_of(text.replace("Concat(", "ToKeyValueString(SliceToMap(").replace('), ", ")', ")))")) == "0=0:A 1=1:B"
