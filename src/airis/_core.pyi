"""The native kernels (the crate in ``rust/``); `airis.data.kernels` says which back end is in use."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, final

from airis.data.arrow import Column
from airis.data.edits import Edit
from airis.data.expressions import Expression
from airis.data.fields import Source

Level = Literal["resource", "scope", "metric", "item"]
MessageName = Literal["resource", "resource_schema_url", "scope", "scope_schema_url", "metric", "item"]

def validate(signal: str, payload: bytes) -> tuple[bytes, int, int]:
    """The payload with invalid UTF-8 repaired, its number of items, and the number of repaired strings."""

def count_items(signal: str, payload: bytes) -> int:
    """The number of items, from lengths alone, without reading the items."""

def split(
    signal: str, payload: bytes, max_items: int | None = None, max_bytes: int | None = None, level: Level = "item"
) -> list[bytes]:
    """Payloads of at most so many items and bytes, in order; what owns the items is repeated in each part.

    What stands at the `level` is never cut: one that is more than the limits by itself is a part alone. A payload that
    makes one part is handed back as the same object. Raises MalformedPayload, also where owners would be repeated to
    more than 256 MiB.
    """

def from_json(signal: str, body: bytes) -> bytes:
    """The protobuf payload of an OTLP/JSON request; raises MalformedPayload, which names the field."""

def to_json(signal: str, payload: bytes) -> bytes:
    """The payload as one OTLP/JSON object; raises MalformedPayload for one that did not pass `validate`."""

def scan(signal: str, payload: bytes, *, validated: bool = False) -> View:
    """Read a payload that passed `validate`; raises MalformedPayload for another one, unless it is said to have passed.

    Then its items are not looked into again, and what is wrong inside of one is left out where it is read.
    """

def concat(views: Sequence[View]) -> View:
    """One view with the items of all, in order; ValueError for none, and for those of different signals."""

@final
class View:
    """What is in a payload, or in what was made of one; it never changes."""

    @property
    def signal(self) -> str: ...
    @property
    def items(self) -> int:
        """Spans, metric data points or log records."""

    @property
    def payload(self) -> bytes:
        """The payload that says what the view does: the one that was scanned, or one made when first asked for."""

    @property
    def size_bytes(self) -> int:
        """The length of the payload, which is not made for it."""

    def select(self, mask: bytes) -> View:
        """The items whose byte is not 0, of one byte for each; the view itself where that is all of them.

        A metric, scope or resource without any of them goes, also one that had none before.
        """

    def group(self, sources: Sequence[Source], limit: int = 10_000) -> list[tuple[tuple[Any, ...] | None, View]]:
        """The items by what they have at the sources, with their values, in the order in which the first of each comes.

        An array is a list, a map a dict, nothing and an empty value are None; the same in another type is another
        value. There are at most `limit` groups; the items of more of them come last, together, with None.
        """

    def collect(
        self, sources: Sequence[Source], measure: Source, limit: int = 10_000
    ) -> list[tuple[tuple[Any, ...] | None, bytes]]:
        """As `group`, but of the items of every group only the whole numbers at `measure`, which costs less.

        They are in order, eight bytes each, little-endian and signed: the nearest that fits, 0 for what is none.
        """

    def split(self, max_items: int | None = None, max_bytes: int | None = None, level: Level = "item") -> list[View]:
        """Views within limits, in order, as `split` of a payload cuts; the view itself where that is one."""

    def edit(self, edits: Edits, mask: bytes | None = None) -> View:
        """The view after edits (`airis.data.edits`), the view itself where nothing changes.

        A mask of one byte for each item leaves out those whose byte is 0: a resource, scope or metric is edited when
        one of its items is left, and for all of them. Raises MalformedPayload where copies would make more than 1 GiB.
        """

    def rewrite(
        self,
        function: Callable[[MessageName, bytes], bytes | None],
        messages: Collection[MessageName],
        mask: bytes | None = None,
    ) -> View:
        """The view with messages as a function makes them anew, of their name and bytes; None leaves one as it is.

        All that it is given is as it was before, a metric without its points, which it keeps. A mask of one byte for
        each item leaves out those whose byte is 0: what several items have is given when one of them is left, and
        changes for all of them. Python is entered for every message: for resources, rather than for spans. New
        messages must be well-formed.
        """

    def attribute(self, key: str, level: Literal["resource", "scope", "item"] = "item") -> list[str | None]:
        """For every item in order the text of an attribute, None where it is absent; the first of a key counts."""

    def arrow(self, columns: Mapping[str, Source | Column] | None = None) -> ArrowTable:
        """The items as an Arrow table (`airis.data.arrow`), with the columns of the signal's table if none are given.

        Raises InvalidExpression for a source that the signal does not have, and for a type that does not fit one.
        """

    def native(self, arrived_unix_nano: int, series: SeriesIndex) -> Blocks:
        """The blocks for the store's tables; metric series are registered unless `series` knows them.

        Raises MalformedPayload where rows would repeat their resources and scopes to more than 1 GiB.
        """

@final
class ArrowTable:
    """The items of a view as a table, which is made when it is asked for: the Arrow PyCapsule interface."""

    def __arrow_c_schema__(self) -> object:
        """A capsule with the types."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with the table, another one at each call; another type is left to who reads it.

        Raises MalformedPayload where the texts or lists of a column would be larger than 1 GiB.
        """

@final
class Edits:
    """A program of edits; raises ValueError for something that is no edit."""

    def __new__(cls, edits: Sequence[Edit]) -> Edits: ...

@final
class Pattern:
    """A regular expression in RE2's syntax, compiled."""

    def __init__(self, pattern: str, *, whole: bool = False) -> None:
        """Compile; InvalidExpression says what is wrong, and where."""

    @property
    def groups(self) -> list[str | None]:
        """The names of the groups in order, None for one without a name."""

    def search(self, text: bytes) -> list[tuple[int, int] | None] | None:
        """Of the first match the places of the whole and of every group, None for a group that took no part."""

    def search_all(self, text: bytes) -> list[list[tuple[int, int] | None]]:
        """Of every match the same, as Go's ``FindAll`` tells them: an empty one does not touch the one before."""

    def matches(self, text: bytes) -> bool:
        """Whether it matches, which takes less than to say where."""

@final
class Predicate:
    """A condition on the items of a signal, compiled."""

    def __init__(self, signal: str, expression: Expression) -> None:
        """Compile; InvalidExpression says what is wrong, and where."""

    def mask(self, view: View) -> bytes:
        """One byte for every item of the view in order: 1 where the condition holds, else 0."""

@final
class Sampler:
    """What keeps a share of spans or log records, chosen by randomness that all of a trace has in common."""

    def __init__(
        self,
        mode: Literal["hash_seed", "proportional", "equalizing"],
        percentage: float,
        *,
        hash_seed: int = 0,
        precision: int = 4,
        fail_closed: bool = True,
        by_trace_id: bool = True,
        from_attribute: str = "",
        priority_attribute: str = "",
    ) -> None:
        """Compile; ValueError for a mode or a precision that there is not. More than 100 percent is 100."""

    def apply(self, view: View) -> tuple[View, dict[tuple[str, bool, str], int]]:
        """The items kept, in the very same view where nothing changes, and how many were decided in which way.

        The counts are by policy (where the randomness came from), whether the item was kept, and what was wrong with
        it (empty for nothing). Raises ValueError for another signal than traces and logs.
        """

@final
class TraceIndex:
    """The traces of a view of spans, in the order in which the first span of each comes; numbers are little-endian."""

    def __init__(self, view: View) -> None:
        """ValueError for another signal than traces."""

    def __len__(self) -> int:
        """How many traces there are."""

    @property
    def ids(self) -> bytes:
        """Of every trace the id, 16 bytes each; zeros where it has another length."""

    @property
    def spans(self) -> bytes:
        """Of every trace the number of its spans, 4 bytes each."""

    @property
    def sizes(self) -> bytes:
        """Of every trace the bytes of its spans without resources and scopes, 8 bytes each."""

    @property
    def starts(self) -> bytes:
        """Of every trace when it started, in nanoseconds, 8 bytes each; 0 where no span says that."""

    @property
    def ends(self) -> bytes:
        """Of every trace when its last span ended, as `starts`."""

    @property
    def marks(self) -> bytes:
        """Of every trace a byte: 1 where a span has the W3C flag "sampled", and 2 where one has no parent."""

    def any(self, mask: bytes) -> bytes:
        """For every trace 1 where the byte of one of its spans is not 0, of one byte for each span, else 0."""

    def split(self, parts: bytes, count: int) -> list[View]:
        """So many views, each with the spans of the traces that have its number, of 4 bytes for each trace.

        The spans of other numbers are in none of them. Where there is one part with everything, it is the view itself.
        """

    def hashes(self, salt: bytes) -> bytes:
        """For every trace the FNV-1a hash of the salt with the id behind it, 8 bytes each."""

@final
class Blocks:
    """What one payload becomes: a block for each table that gets rows."""

    @property
    def tables(self) -> dict[str, bytes]:
        """The bytes of every block by its table, in the order in which they are to be stored; made anew each time."""

    @property
    def rows(self) -> dict[str, int]:
        """The rows of every block by its table, in the same order."""

    def block(self, table: str) -> bytes:
        """The bytes of one table's block; KeyError for a table that gets no rows."""

    def write(self, table: str, path: str) -> None:
        """Make a table's block the content of a file that is there; KeyError for a table that gets no rows."""
    @property
    def series(self) -> Mapping[tuple[int, int], int]:
        """The metric series that are registered here, for `SeriesIndex.add`."""

@final
class SeriesIndex:
    """Which series were registered in the current hour, so that a row is written once per hour and series."""

    def __init__(self, capacity: int = 4_000_000) -> None: ...
    def __len__(self) -> int: ...
    def add(self, blocks: Blocks) -> None:
        """Note the series registered in blocks that were stored; what is oldest goes when it is too much."""

def wal_frame(
    log_id: bytes, head: tuple[int, int, int, int, int, int, int, bytes, int], meta: bytes, payload: bytes
) -> bytes:
    """What stands before the payload of a record of the log; `airis.storage.wal.format.frame` is its twin."""

def wal_read(
    log_id: bytes, data: bytes, start: int, payloads: bool
) -> list[tuple[int, int, tuple[int, int, int, int, int, int, int, bytes, int] | None, bytes, bytes, bool]]:
    """What stands in `data` from an offset on; `airis.storage.wal.format.read` is its twin."""

@final
class Announced:
    """What remote-write senders said of targets and of metric families, for the requests after it."""

    def __init__(self, capacity_bytes: int = 16 * 1024 * 1024) -> None:
        """Room for so many bytes of targets, and as many of families."""

    def __len__(self) -> int: ...
    def add(self, written: RemoteWritten) -> None:
        """Note what a request announced, once."""

@final
class RemoteWritten:
    """What a remote-write request became."""

    @property
    def payload(self) -> bytes:
        """OTLP metrics."""

    @property
    def items(self) -> int:
        """Data points in the payload."""

    @property
    def samples(self) -> int:
        """Samples that were taken, those that only say what a target is included."""

    @property
    def histograms(self) -> int: ...
    @property
    def exemplars(self) -> int: ...
    @property
    def repaired(self) -> int:
        """Strings whose invalid UTF-8 was replaced by U+FFFD."""

    @property
    def left_out(self) -> dict[str, tuple[int, str]]:
        """By reason how much was left out, and the name of the first metric that it happened to.

        The reasons are told in `airis.data.reference.remote_write`.
        """

def from_remote_write(version: int, body: bytes, announced: Announced, limit_bytes: int) -> RemoteWritten:
    """The OTLP metrics of a decompressed request.

    Raises MalformedPayload for what is no request of this version (1 or 2), and for one whose metrics, before they are
    put together, are larger than `limit_bytes`; ValueError for another version.
    """

def samples(
    view: View,
    arrived_unix_nano: int,
    *,
    strategy: str = "UnderscoreEscapingWithSuffixes",
    namespace: str = "",
    external_labels: Sequence[tuple[str, str]] = (),
    resource_labels: bool = False,
    except_service: bool = False,
    target_info: bool = True,
    scope_labels: bool = False,
) -> Samples:
    """The series and samples of metrics; a point without a time has that of its arrival.

    `strategy` is one of `airis.proto.prometheus_names.STRATEGIES`, `namespace` a prefix of every name,
    `external_labels` stand where a series has none of that name. `resource_labels` makes labels of the resource's
    attributes, but with `except_service` not of those that say which service it is. Raises ValueError for another
    signal or strategy.
    """

@final
class Samples:
    """Series and their samples, as columns; numbers are little-endian."""

    def __len__(self) -> int:
        """How many series there are."""

    def labels(self, series: int) -> list[tuple[str, str]]:
        """The labels of a series, by name; IndexError where there is no such series."""

    @property
    def hashes(self) -> bytes:
        """Of every series a hash of its labels, 8 bytes each."""

    @property
    def series(self) -> bytes:
        """Of every sample the number of its series, 4 bytes each."""

    @property
    def times(self) -> bytes:
        """Of every sample the time in milliseconds, 8 bytes each, signed."""

    @property
    def values(self) -> bytes:
        """Of every sample the value, a double."""

    @property
    def histograms(self) -> int:
        """How many native histograms there are beside the samples."""

    @property
    def exemplars(self) -> int: ...
    @property
    def left_out(self) -> dict[str, int]:
        """Points that are no samples, by reason: ``temporality`` (not cumulative), ``value`` (none), ``scale``."""

    def remote_write(self, version: int, max_bytes: int, *, metadata: bool = False) -> list[bytes]:
        """Bodies of at most `max_bytes` before compression, but for a series that is larger by itself.

        With `metadata` those of 1.0 begin with the families; those of 2.0 have them with their series.
        """

@final
class Reply:
    """An answer, made once and sent as often as wanted."""

    @staticmethod
    def http(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Reply:
        """Over HTTP; ValueError for a status or a header that there cannot be."""

    @staticmethod
    def grpc(
        code: int,
        message: str = "",
        details: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Reply:
        """Over gRPC: a message (`body`) and the code that ends the call, or a code alone.

        `details` is a google.rpc.Status.
        """

@final
class Tls:
    """What a server needs for TLS."""

    def __init__(
        self,
        certificate: bytes,
        key: bytes,
        *,
        authorities: bytes | None,
        versions: Sequence[str],
        suites: Sequence[str],
        curves: Sequence[str],
        protocols: Sequence[str],
    ) -> None:
        """From PEM, and the names that the Collector's options have; ValueError says what cannot be honoured."""

@final
class Joined:
    """Requests of one signal, one listener, one encoding and the same metadata, joined; those of profiles never are."""

    @property
    def token(self) -> int:
        """What to answer them by."""

    @property
    def listener(self) -> int: ...
    @property
    def signal(self) -> str:
        """The object that the route was given with."""

    @property
    def encoding(self) -> Literal["protobuf", "json"]:
        """How the requests were encoded, and their answers are to be."""

    @property
    def payload(self) -> bytes:
        """Protobuf."""

    @property
    def items(self) -> int: ...
    @property
    def repaired(self) -> int:
        """Strings that were not UTF-8."""

    @property
    def requests(self) -> int: ...
    @property
    def identity(self) -> list[tuple[str, str]] | None:
        """What an authenticator knows of whom they come from; None where there is none."""

    @property
    def metadata(self) -> list[tuple[str, str]] | None:
        """Request headers, without those withheld; None where none are handed on."""

    def parts(self) -> list[tuple[bytes, int]]:
        """Payload and items of every request, in order."""

@final
class Asked:
    """What is not regular: Python knows of it, or decides and answers by the token."""

    @property
    def token(self) -> int: ...
    @property
    def kind(self) -> str:
        """What it is.

        To be answered: ``head`` (path, method or content type), ``encoding``, ``too_large``, ``corrupt``,
        ``malformed``, ``full`` (no space), ``late``, ``handshake`` (a TLS client comes; any answer goes on), and
        ``credentials`` by `Intake.admit` or `Intake.refuse`. Of a gRPC call that is no export: ``call``, then
        ``message`` and ``end``, or one of the faults above. To be known: ``refused`` (requests were not let in, see
        `Intake.take_refused`), ``cut_off`` (a body that did not come), ``gone`` (all who waited for the token left),
        ``drained`` (everything has ended after `Intake.stop`).
        """

    @property
    def detail(self) -> str: ...
    @property
    def listener(self) -> int: ...
    @property
    def signal(self) -> str | None:
        """Of the path, where it has one."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def credentials(self) -> list[tuple[str, str]]:
        """The headers that decide who sends."""

    @property
    def payload(self) -> bytes: ...

@final
class Intake:
    """Listeners for OTLP over gRPC and HTTP, with one native thread for all of them."""

    def __init__(self, limit_bytes: int, longest_wait_s: float, most_waiting: int) -> None:
        """Requests may take `limit_bytes` together; who comes then waits, but not behind `most_waiting` others."""

    @property
    def fd(self) -> int:
        """Readable when there is something to take."""

    @property
    def used_bytes(self) -> int:
        """Of all requests that are read, wait to be taken or are held."""

    @property
    def waiting(self) -> int:
        """Requests that wait for space."""

    def listen(
        self,
        fd: int,
        *,
        protocol: Literal["grpc", "http"],
        is_unix: bool,
        routes: Sequence[tuple[str, str]],
        encodings: Sequence[str],
        max_message_bytes: int,
        withheld: Sequence[str] | None,
        times: Mapping[str, float],
        keep_alive: bool,
        max_connections: int,
        max_streams: int | None,
        tls: Tls | None,
        asks_before_handshake: bool,
        reads: Sequence[str] | None = None,
    ) -> int:
        """Take connections from a listening socket, whose descriptor is owned from now on.

        `routes` are paths with their signals, `withheld` the headers that do not go on with the data (None: none
        goes on), `times` the longest ones in seconds, by ``head``, ``body``, ``answer``, ``idle``, ``age``,
        ``age_grace``, ``ping`` and ``ping_timeout``; 0 or none is for ever. `reads` are the headers that decide who
        may send; None: everybody may. Gives the listener's number.
        """

    def renew(self, listener: int, tls: Tls) -> None:
        """Use another certificate for the connections to come."""

    def admit(self, listener: int, token: int, identity: Sequence[tuple[str, str]], remember_s: float | None) -> None:
        """Let those in who wait with the credentials of the token, and for `remember_s` whoever brings them.

        None is until they are forgotten, 0 for nobody else. `identity` goes on with their data.
        """

    def refuse(self, listener: int, token: int, reply: Reply, reason: int, remember_s: float) -> None:
        """Give the answer to those who wait with the credentials of the token, and for `remember_s` to others."""

    def forget(self, listener: int) -> None:
        """Ask about all credentials again."""

    def take_refused(self, listener: int) -> Sequence[int]:
        """Requests that were not let in since the last time, by the number of the reason: 0 to 2."""

    def take(self, max_items: int, max_bytes: int) -> tuple[list[Joined], list[Asked]]:
        """All that waits, joined up to these sizes, and what has to be decided by itself."""

    def answer(self, token: int, reply: Reply) -> bool:
        """Answer all who wait under the token; False where nobody is known by it."""

    def answer_part(self, token: int, place: int, reply: Reply) -> bool:
        """Answer one part of a batch, by its place."""

    def send(self, token: int, message: bytes) -> bool:
        """Send a call a message."""

    def stop(self) -> None:
        """Take nothing new, and end every connection once its calls are answered; then ``drained`` is told."""

    def end(self) -> None:
        """End at once whatever is left, and the thread."""

@final
class ClientTls:
    """What a client needs for TLS."""

    def __init__(
        self,
        *,
        authorities: bytes | None,
        system: bytes | None,
        certificate: bytes | None,
        key: bytes | None,
        versions: Sequence[str],
        suites: Sequence[str],
        curves: Sequence[str],
        verify: bool,
        protocols: Sequence[str],
    ) -> None:
        """From PEM, and the names that the Collector's options have; ValueError says what cannot be honoured.

        `authorities` must all be readable, of those of the `system` what cannot be read is left out.
        """

@final
class Remote:
    """A server: where it is, and how it is reached."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        addresses: Sequence[str],
        path: str | None,
        proxy: tuple[str, int, bool, str | None, str | None] | None,
        tls: ClientTls | None,
        server_name: str,
        times: Mapping[str, float],
        pings_idle: bool,
        max_answer_bytes: int,
    ) -> None:
        """A name, else `addresses` (``ip:port``), else a unix socket; ValueError says what of it there cannot be.

        `proxy` is host, port, whether it is spoken to over TLS, its Proxy-Authorization, and what it is asked to
        connect to (None: it is handed plain requests). `server_name` is what the certificate must be for. `times` are
        seconds by ``idle``, ``ping`` and ``ping_timeout``; 0 or none is for ever.
        """

    def renew(self, tls: ClientTls) -> None:
        """Use another configuration for the connections to come."""

@final
class Head:
    """The head of a request, made once and sent as often as wanted."""

    def __init__(self, url: str, headers: Sequence[tuple[str, bytes]]) -> None:
        """For a whole URL; ValueError says what is wrong with it or with a header."""

@final
class Body:
    """Bytes to send, kept and not copied, and compressed by the client at the first time."""

    def __init__(self, payload: bytes, encoding: str = "", level: int = 0) -> None:
        """`encoding` is a Content-Encoding; a level of 0 or less is a fast one."""

@final
class Answer:
    """What came of something that was sent."""

    @property
    def token(self) -> int: ...
    @property
    def fault(self) -> str | None:
        """Why there is no answer; None where there is one.

        ``unavailable`` (no connection, or it broke), ``late``, ``protocol`` (it is no answer), ``http1`` (it is one of
        HTTP/1, not of gRPC), ``too_large``, ``internal``.
        """

    @property
    def detail(self) -> str:
        """The cause of a fault on one line, but that a server's words may be in it."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]:
        """With names in lower case, as are those of `trailers`."""

    @property
    def trailers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> bytes:
        """What was read of it; of gRPC the message, inflated."""

    @property
    def is_whole(self) -> bool:
        """Whether the body ends where `body` does."""

@final
class Client:
    """Connections to servers of gRPC and HTTP, with one native thread for all of them."""

    def __init__(self) -> None: ...
    @property
    def fd(self) -> int:
        """Readable when there is something to take."""

    def grpc(self, remote: Remote, *, round_robin: bool, wait_for_ready: bool) -> int:
        """Know a server of gRPC, by the number that is given; nothing connects before the first call."""

    def http(self, remote: Remote, *, keep_alive: bool, max_connections: int) -> int:
        """Know a server of HTTP, by the number that is given; `max_connections` of 0 is without a limit."""

    def send(self, server: int, head: Head, body: Body, timeout_s: float) -> int:
        """Send something to a server, within a time (0: without a limit); gives the token of the answer to come."""

    def cancel(self, token: int) -> None:
        """Give a request up; nothing is told of it."""

    def take(self) -> list[Answer]:
        """What has been answered, or failed."""

    def end(self) -> None:
        """Give up what is under way, close all connections, and end the thread."""
