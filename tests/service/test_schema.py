"""``airis schema``: what editors accept, mark and offer."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from airis.component.config import plain
from airis.config import Sources, load_configuration
from airis.config.decode import raw
from airis.config.document import parse
from airis.config.schema import schema
from airis.service import cli
from airis.service.commands.print_config import effective

from .third_party import PACKAGE, airis

ROOT = Path(__file__).parents[2]
TESTDATA = ROOT / "tests/config/testdata"
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
GOOD = [*EXAMPLES, ROOT / "config/default.yaml", *sorted(TESTDATA.glob("*.good.yaml"))]
STRUCTURAL = ["empty", "options", "references", "ten"]
"""The wrong configurations that are wrong by themselves, not by what is put in or by rules between options."""


def as_editors_read_it(text: str) -> Any:
    return plain(raw(parse(text, "")))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


@pytest.fixture(scope="module")
def third_party() -> dict[str, Any]:
    """The schema where components of another package are installed, too."""
    found: dict[str, Any] = json.loads(airis("schema").stdout)
    return found


def paths(validator: jsonschema.Draft202012Validator, text: str) -> list[str]:
    """Where the schema finds fault with a configuration."""
    return sorted("::".join(map(str, error.absolute_path)) for error in validator.iter_errors(as_editors_read_it(text)))


def test_it_is_a_schema_and_says_what_it_is() -> None:
    printed = CliRunner().invoke(cli.app, ["schema"])

    found = json.loads(printed.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["title"] == "airis configuration"
    assert found["$id"].startswith("urn:airis:configuration:")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_takes_what_airis_takes(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    assert paths(validator, path.read_text()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_takes_every_option_with_its_default(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    whole = effective(load_configuration(Sources((str(path),)), {}), defaults=True)

    assert ["::".join(map(str, error.absolute_path)) for error in validator.iter_errors(whole)] == []


@pytest.mark.parametrize("name", STRUCTURAL)
def test_it_marks_what_airis_refuses(validator: jsonschema.Draft202012Validator, name: str) -> None:
    assert paths(validator, (TESTDATA / f"{name}.bad.yaml").read_text()) != []


ACCEPTED = {
    "an overlay": "exporters: {debug: {verbosity: detailed}}",
    "a component without options": "processors: {batch: , batch/large: {}}",
    "blanks around the slash": "processors: {batch / large: }",
    "a section that is on, and one that is off": "receivers: {otlp: {protocols: {grpc: , http: {enabled: false}}}}",
    "a section that is off, with an option that it needs": "processors: {attributes: {include: {enabled: false}, "
    "actions: [{key: a, action: delete}]}}",
    "null for a default": "processors: {batch: {timeout: , send_batch_size: null}}",
    "a reference for a number": "processors: {batch: {send_batch_size: '${env:SIZE}'}}",
    "a reference for a choice": "exporters: {debug: {verbosity: '${env:VERBOSITY:-basic}'}}",
    "a reference for a section": "receivers: {otlp: {protocols: '${file:protocols.yaml}'}}",
    "a reference for a list": "service: {extensions: '${env:EXTENSIONS}'}",
    "a reference for an item": "service: {extensions: [store, '${env:EXTENSION}']}",
    "a reference in a duration": "processors: {batch: {timeout: '${env:SECONDS}s'}}",
    "no unit for no time": "processors: {batch: {timeout: 0}}",
    "a number for a text": "exporters: {file: {path: 0123}}",
    "a number for a choice": "extensions: {store: {tls: {min_version: 1.3}}}",
    "commas for a list": "processors: {batch: {metadata_keys: 'a, b'}}",
    "a level that the Collector has": "service: {telemetry: {logs: {level: WARNING}}}",
    "an attribute in the old form": "service: {telemetry: {resource: {deployment.environment: prod}}}",
    "a named pipeline": "service: {pipelines: {logs/audit: {receivers: [otlp/a], exporters: [forward, nop]}}}",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_it_takes(validator: jsonschema.Draft202012Validator, text: str) -> None:
    assert paths(validator, text) == []


MARKED = {
    "processers: {}": "",
    "exporters: {kafkaa: }": "exporters",
    "exporters: {'file/': {path: x}}": "exporters",
    "processors: {batch: {send_batch_sise: 1}}": "processors::batch",
    "processors: {batch/x: {send_batch_size: -1}}": "processors::batch/x::send_batch_size",
    "processors: {batch: {send_batch_size: many}}": "processors::batch::send_batch_size",
    "processors: {batch: {timeout: 5}}": "processors::batch::timeout",
    "processors: {batch: {timeout: 5 seconds}}": "processors::batch::timeout",
    "processors: {batch: {metadata_keys: {}}}": "processors::batch::metadata_keys",
    "processors: {attributes: {include: {}, actions: [{key: a, action: delete}]}}": "processors::attributes::include",
    "exporters: {debug: {verbosity: loud}}": "exporters::debug::verbosity",
    "exporters: {file: {format: json}}": "exporters::file",
    "exporters: {file: {path: ''}}": "exporters::file::path",
    "receivers: {otlp: {protocols: {grpc: {enabled: maybe}}}}": "receivers::otlp::protocols::grpc::enabled",
    "receivers: {otlp: {enabled: false}}": "receivers::otlp",
    "service: {extensions: [healthcheck]}": "service::extensions::0",
    "service: {pipelines: {spans: {receivers: [otlp], exporters: [nop]}}}": "service::pipelines",
    "service: {pipelines: {logs: {receivers: [nop], exporters: [nop]}}}": "service::pipelines::logs::receivers::0",
    "service: {pipelines: {logs: {processors: [batch, batch]}}}": "service::pipelines::logs::processors",
    "service: {pipelines: {logs: {exporters: []}}}": "service::pipelines::logs::exporters",
    "service: {telemetry: {log: {}}}": "service::telemetry",
}


@pytest.mark.parametrize(("text", "path"), MARKED.items(), ids=MARKED)
def test_it_marks(validator: jsonschema.Draft202012Validator, text: str, path: str) -> None:
    assert paths(validator, text) == [path]


def test_an_editor_shows_what_an_option_takes_and_means(validator: jsonschema.Draft202012Validator) -> None:
    size = validator.schema["$defs"]["BatchConfig"]["properties"]["send_batch_size"]

    assert size["title"] == "send_batch_size: integer"
    assert size["description"].startswith("Items that make a full batch.")
    assert (size["default"], size["minimum"]) == (8192, 0)
    assert "or a reference such as ${env:NAME}" in size["patternErrorMessage"]


def test_an_editor_offers_types_and_pipelines(validator: jsonschema.Draft202012Validator) -> None:
    sections = validator.schema["properties"]

    assert {"batch", "memory_limiter"} <= sections["processors"]["properties"].keys()
    assert {"traces", "metrics", "logs"} <= sections["service"]["properties"]["pipelines"]["properties"].keys()


def test_an_old_spelling_is_taken_and_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from airis.component import Kind
    from airis.config import collector

    monkeypatch.setitem(collector.RENAMED[Kind.EXPORTER], "filewriter", "file")
    exporters = schema()["properties"]["exporters"]

    assert exporters["properties"]["filewriter"]["deprecated"] is True
    assert "deprecated" not in exporters["properties"]["file"]
    assert any(pattern.startswith("^ *filewriter") for pattern in exporters["patternProperties"])


def test_components_of_other_packages_are_in_it(third_party: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(third_party)
    example = (PACKAGE / "acme_airis/examples/receivers/acme.yaml").read_text()

    assert paths(jsonschema.Draft202012Validator(third_party), example) == []


NESTED_ACCEPTED = {
    "a reference for an item's option": "routes: [{to: '${env:TO}'}]",
    "sections in themselves": "routes: [{to: a, routes: [{to: b, routes: [{to: c}]}]}]",
    "secrets in a map": "headers: {authorization: '${env:TOKEN}', x: 1}",
    "sections in a map": "tenants: {a: {token: x, wait: 1m}, b: {token: y, wait: null}}",
    "an alias": "mode/experimental: exact",
    "alternatives": "limit: none",
    "the other alternative": "limit: 3",
    "any type": "labels: {a: [1, {b: c}]}",
    "an option that is not to be used": "timeout: 1s",
    "a section with a switch of its own": "cache: {enabled: false, size: 3}",
}
NESTED_MARKED = {
    "routes: [{}]": "routes::0",
    "routes: [{to: A}]": "routes::0::to",
    "routes: [{to: a, share: 0}]": "routes::0::share",
    "routes: [{to: a, routes: [{t: b}]}]": "routes::0::routes::0 routes::0::routes::0",
    "routes: {to: a}": "routes",
    "tenants: {a: }": "tenants::a",
    "tenants: {a: {token: x, wait: 1}}": "tenants::a::wait",
    "headers: [x]": "headers",
    "limit: all": "limit",
    "waits: [1s, 2s, 3s, 4s]": "waits",
    "waits: [1s, 2]": "waits::1",
    "mode: exact": "",
    "cache: {size: 1000}": "cache::size",
}


@pytest.mark.parametrize(
    ("text", "found"), [*((text, None) for text in NESTED_ACCEPTED.values()), *NESTED_MARKED.items()]
)
def test_options_in_lists_and_maps_are_known(third_party: dict[str, Any], text: str, found: str | None) -> None:
    whole = f"receivers: {{acme: {{endpoint: here, {text}}}}}"
    faults = paths(jsonschema.Draft202012Validator(third_party), whole)

    expected = (
        [] if found is None else ["::".join(filter(None, ("receivers::acme", path))) for path in found.split(" ")]
    )
    assert faults == expected


def test_what_is_not_to_be_used_is_struck_out(third_party: dict[str, Any]) -> None:
    timeout = third_party["$defs"]["AcmeConfig"]["properties"]["timeout"]

    assert (timeout["deprecated"], timeout["deprecationMessage"]) == (True, "Deprecated: has no effect, use waits.")
