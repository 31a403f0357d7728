"""Options that name an extension: that there is one, that it is started, and, of an authenticator, the right side."""

from collections.abc import Iterator

from airis.component import Config, Kind
from airis.component.authentication import AuthenticatorConfig, Direction, NamesAuthenticator
from airis.component.config import NamesExtension
from airis.config.decode import suggestion
from airis.config.errors import Findings
from airis.config.lints import path_of, sections_in, started_in
from airis.config.model import Configuration
from airis.config.reading import Configured, Path
from airis.config.wording import HIDDEN

_SIDES: dict[Direction, str] = {"server": "the clients of a server", "client": "a client"}


def check_extensions_named(configuration: Configuration, configured: Configured, findings: Findings) -> None:
    """Report every name of an extension, in a component that is started, that cannot be what is meant."""
    started = started_in(configuration)
    for kind, components in configuration.components.items():
        for component in components.values():
            if (kind, component.component_id) in started:
                for path, extension_id, direction in _named(component.options, path_of(component)):
                    _check(path, extension_id, direction, configuration, configured, findings)


def _named(options: Config, path: Path) -> Iterator[tuple[Path, str, Direction | None]]:
    for here, section in sections_in(options, path):
        for name, field in type(section).model_fields.items():
            for mark in field.metadata if getattr(section, "enabled", True) else ():
                if isinstance(mark, NamesAuthenticator | NamesExtension) and getattr(section, name):
                    direction = mark.direction if isinstance(mark, NamesAuthenticator) else None
                    yield (*here, field.alias or name), getattr(section, name), direction


def _check(
    path: Path,
    extension_id: str,
    direction: Direction | None,
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
    if direction is not None and direction not in directions:
        does = f"authenticates {_SIDES[next(iter(directions))]}" if directions else "is not an authenticator"
        message = f'extension "{written}" {does}; here one is needed for {_SIDES[direction]}'
        findings.error("wrong-authenticator", mark, path, message)
    elif extension_id not in configuration.extensions:
        message = f'extension "{written}" is not started; name it in service::extensions'
        findings.error("extension-not-started", mark, path, message)
