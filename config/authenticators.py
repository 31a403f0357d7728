"""Options that name an authenticator: that there is one, that it is started, and that it is of the right side."""

from collections.abc import Iterator

from airis.component import Config, Kind
from airis.component.authentication import AuthenticatorConfig, Direction, NamesAuthenticator
from airis.config.decode import suggestion
from airis.config.errors import Findings
from airis.config.lints import path_of, sections_in, started_in
from airis.config.model import Configuration
from airis.config.reading import Configured, Path
from airis.config.wording import HIDDEN

_SIDES: dict[Direction, str] = {"server": "the clients of a server", "client": "a client"}


def check_authenticators(configuration: Configuration, configured: Configured, findings: Findings) -> None:
    """Report every name of an authenticator, in a component that is started, that cannot be one."""
    started = started_in(configuration)
    for kind, components in configuration.components.items():
        for component in components.values():
            if (kind, component.component_id) in started:
                for path, extension_id, direction in _named(component.options, path_of(component)):
                    _check(path, extension_id, direction, configuration, configured, findings)


def _named(options: Config, path: Path) -> Iterator[tuple[Path, str, Direction]]:
    for here, section in sections_in(options, path):
        for name, field in type(section).model_fields.items():
            for mark in field.metadata:
                if isinstance(mark, NamesAuthenticator) and getattr(section, name):
                    yield (*here, field.alias or name), getattr(section, name), mark.direction


def _check(
    path: Path,
    extension_id: str,
    direction: Direction,
    configuration: Configuration,
    configured: Configured,
    findings: Findings,
) -> None:
    node, mark = configuration.node_at(*path), configuration.mark_at(*path)
    written = HIDDEN if node is not None and node.substituted else extension_id
    if extension_id in configured.mistaken or configured.unread & {Kind.EXTENSION}:
        return
    if extension_id not in configured.ids[Kind.EXTENSION]:
        hint = suggestion(extension_id, configured.ids[Kind.EXTENSION])
        hint = hint if configured.ids[Kind.EXTENSION] else "write it under extensions"
        message = f'references extension "{written}" which is not configured; {hint}'
        findings.error("undefined-reference", mark, path, message)
        return
    options = configured.options[Kind.EXTENSION].get(extension_id)
    if options is None:
        return  # what is wrong with it is said there
    directions = options.directions() if isinstance(options, AuthenticatorConfig) else frozenset[Direction]()
    if direction not in directions:
        does = f"authenticates {_SIDES[next(iter(directions))]}" if directions else "is not an authenticator"
        message = f'extension "{written}" {does}; here one is needed for {_SIDES[direction]}'
        findings.error("wrong-authenticator", mark, path, message)
    elif extension_id not in configuration.extensions:
        message = f'extension "{written}" is not started; name it in service::extensions'
        findings.error("extension-not-started", mark, path, message)
