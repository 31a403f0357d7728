"""ClickHouse's Native format: what is written reads back, and is laid out as the engine lays it out."""

import math
from typing import Any

import pytest

from airis.proto.clickhouse_native import column_type, read_blocks, write_block

COLUMNS: dict[str, list[Any]] = {
    "UInt8": [0, 255],
    "UInt16": [0, 65535],
    "UInt32": [0, (1 << 32) - 1],
    "UInt64": [0, (1 << 64) - 1],
    "Int8": [-128, 127],
    "Int16": [-32768, 32767],
    "Int32": [-(1 << 31), (1 << 31) - 1],
    "Int64": [-(1 << 63), (1 << 63) - 1],
    "Float32": [0.5, -math.inf],
    "Float64": [0.1, math.inf],
    "Bool": [True, False],
    "String": ["", "häß\0\n" * 50],
    "Date": [0, 65535],
    "DateTime": [0, 1_700_000_000],
    "DateTime('UTC')": [0, 1_700_000_000],
    "DateTime64(9)": [0, 1_700_000_000_000_000_000],
    "Enum8('a' = 0, 'b_c' = -3)": ["a", "b_c"],
    "LowCardinality(String)": ["x", ""],
    "Array(LowCardinality(String))": [["x", "y"], []],
    "Array(Array(UInt8))": [[[1], [2, 3]], []],
    "Nullable(Float64)": [None, 0.5],
    "Tuple(UInt8, String)": [(1, "a"), (2, "b")],
    "Map(LowCardinality(String), String)": [[("k", "v"), ("k", "w")], []],
    "Array(Map(LowCardinality(String), String))": [[[("k", "v")], []], []],
}


@pytest.mark.parametrize(("type_name", "values"), COLUMNS.items(), ids=COLUMNS)
def test_what_is_written_reads_back(type_name, values):
    block = write_block([("first", "UInt8", [1, 2]), ("column", type_name, values), ("last", "String", ["a", "b"])])

    assert read_blocks(block) == {"first": [1, 2], "column": values, "last": ["a", "b"]}


@pytest.mark.parametrize("count", [1, 255, 256, 65535, 65536])
def test_indexes_are_as_narrow_as_the_dictionary_allows(count):
    values = [str(number) for number in range(count)]

    assert read_blocks(write_block([("c", "LowCardinality(String)", values)]))["c"] == values


def test_blocks_behind_one_another_are_one():
    block = write_block([("c", "Array(LowCardinality(String))", [["x"]])])

    assert read_blocks(block * 2) == {"c": [["x"], ["x"]]}
    assert read_blocks(b"") == {}


def test_of_an_integer_that_is_too_wide_the_low_bits_are_stored():
    assert column_type("Int64").write([(1 << 64) - 1]) == column_type("Int64").write([-1])


def test_the_bytes_of_a_low_cardinality_column():
    block = write_block([("c", "LowCardinality(String)", ["x", "y", "x", ""])])

    assert block == (
        b"\x01\x04\x01c\x16LowCardinality(String)"
        + (1).to_bytes(8, "little")
        + (0x600).to_bytes(8, "little")
        + (3).to_bytes(8, "little")
        + b"\x00\x01x\x01y"
        + (4).to_bytes(8, "little")
        + b"\x01\x02\x01\x00"
    )


def test_a_block_that_is_cut_off_is_an_error():
    block = write_block([("c", "UInt64", [1])])

    with pytest.raises(EOFError, match="ends inside a column"):
        read_blocks(block[:-1])


def test_a_type_that_is_not_known_is_named():
    with pytest.raises(ValueError, match=r"Variant\(String\) is not known here"):
        column_type("Variant(String)")
