"""The demo shop as data: six services, what they call, how long it takes, what goes wrong.

What analysis should find is put in here: the card gateway is the slowest thing on the critical path of a
checkout; catalog and inventory are asked in parallel, so that only the slower of them matters; a fifth of
the product lookups miss the cache; payment's database is what the incident slows down.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from airis.demo.payloads import Value


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal distribution of durations."""

    median_s: float
    sigma: float = 0.3
    """Spread of the logarithm: the 99th percentile is the median times e ** (2.33 sigma)."""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that reports telemetry of its own."""

    name: str
    language: str
    version: str
    instances: int = 1


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that reports nothing: it is seen through its callers' client spans."""

    name: str
    system: str
    """``postgresql`` or ``redis``; for anything else the host of an HTTP interface."""
    port: int


class Protocol(StrEnum):
    """How an operation is called."""

    HTTP = "http"
    GRPC = "grpc"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Work:
    """The service's own computing."""

    latency: Latency


@dataclass(frozen=True, slots=True)
class Query:
    """A command to a database or cache."""

    dependency: Dependency
    verb: str
    collection: str
    text: str
    latency: Latency
    share: float = 1.0
    """How often the step is taken."""


@dataclass(frozen=True, slots=True)
class External:
    """An HTTP request to somebody else's service."""

    dependency: Dependency
    method: str
    path: str
    latency: Latency


@dataclass(frozen=True, slots=True)
class Call:
    """A request to another service, made again when it fails in a way that may pass."""

    operation: "Operation"
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Publish:
    """A message for a consumer, who works on it later in a trace of its own, linked to this one."""

    topic: str
    consumer: "Operation"


@dataclass(frozen=True, slots=True)
class Parallel:
    """Steps begun at once; it ends with the last of them."""

    steps: "tuple[Step, ...]"


Step = Work | Query | External | Call | Publish | Parallel


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail: an exception in the service and what its caller sees."""

    exception: str
    message: str
    http_status: int
    grpc_code: int
    transient: bool = False
    """Whether a caller may try again."""
    share: float = 0.0
    """How often an operation fails with it on its own account, after its steps."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does for a caller; a step that fails for good ends it."""

    service: Service
    name: str
    """The route (``POST /checkout``), the gRPC method (``shop.Payment/Charge``) or the queue."""
    protocol: Protocol
    steps: tuple[Step, ...]
    fault: Fault | None = None
    log: str = ""
    """What is logged when it went well, with ``{fields}``; nothing when empty."""
    event: str = ""
    """Name of the structured event logged instead of a line of text."""
    failure_log: str = ""
    """What is logged as an error when it failed, with ``{fields}`` and ``{fault}``."""
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Span attributes; texts may have ``{fields}``."""


STOREFRONT = Service("storefront", "nodejs", "4.12.0", instances=2)
CATALOG = Service("catalog", "go", "2.3.1", instances=2)
CART = Service("cart", "dotnet", "1.18.4")
CHECKOUT = Service("checkout", "java", "3.0.7")
PAYMENT = Service("payment", "python", "5.1.0")
INVENTORY = Service("inventory", "rust", "0.9.2")
SERVICES = (STOREFRONT, CATALOG, CART, CHECKOUT, PAYMENT, INVENTORY)

CATALOG_DB = Dependency("catalog-db", "postgresql", 5432)
CATALOG_CACHE = Dependency("catalog-cache", "redis", 6379)
CART_STORE = Dependency("cart-store", "redis", 6379)
PAYMENT_DB = Dependency("payment-db", "postgresql", 5432)
INVENTORY_DB = Dependency("inventory-db", "postgresql", 5432)
CARD_GATEWAY = Dependency("cardgate.example", "https", 443)

POOL_EXHAUSTED = Fault(
    exception="psycopg_pool.PoolTimeout",
    message="couldn't get a connection to payment-db after 2.0 sec: 20 of 20 in use",
    http_status=503,
    grpc_code=14,
    transient=True,
)
DECLINED = Fault(
    exception="CardDeclinedError",
    message="card declined: insufficient funds",
    http_status=402,
    grpc_code=9,
    share=0.02,
)

FAST = Latency(0.0015)

GET_PRODUCT = Operation(
    CATALOG,
    "GET /products/{id}",
    Protocol.HTTP,
    (
        Work(FAST),
        Query(CATALOG_CACHE, "GET", "product", "GET product:?", Latency(0.0006)),
        Query(
            CATALOG_DB,
            "SELECT",
            "products",
            "SELECT id, name, price, stock_unit FROM products WHERE id = $1",
            Latency(0.006, 0.5),
            share=0.2,
        ),
    ),
    attributes={"shop.product.id": "{product}"},
)
LIST_PRODUCTS = Operation(
    CATALOG,
    "GET /products",
    Protocol.HTTP,
    (
        Work(FAST),
        Query(
            CATALOG_DB,
            "SELECT",
            "products",
            "SELECT id, name, price FROM products ORDER BY popularity DESC LIMIT $1",
            Latency(0.012, 0.4),
        ),
        Work(Latency(0.003)),
    ),
)
GET_CART = Operation(
    CART,
    "GET /carts/{id}",
    Protocol.HTTP,
    (Work(FAST), Query(CART_STORE, "HGETALL", "cart", "HGETALL cart:?", Latency(0.0008))),
)
ADD_ITEM = Operation(
    CART,
    "POST /carts/{id}/items",
    Protocol.HTTP,
    (
        Work(FAST),
        Call(GET_PRODUCT),
        Query(CART_STORE, "HSET", "cart", "HSET cart:? ? ?", Latency(0.0009)),
    ),
    log="added product {product} to cart {user}, {items} items now",
)
RESERVE = Operation(
    INVENTORY,
    "shop.Inventory/Reserve",
    Protocol.GRPC,
    (
        Work(FAST),
        Query(
            INVENTORY_DB,
            "UPDATE",
            "stock",
            "UPDATE stock SET reserved = reserved + $1 WHERE product_id = $2 AND available >= $1",
            Latency(0.009, 0.4),
        ),
    ),
    fault=Fault("OutOfStock", "product {product} is out of stock", http_status=409, grpc_code=9, share=0.01),
    log="reserved {items} of product {product}",
    failure_log="cannot reserve {items} of product {product}: {fault}",
)
CHARGE = Operation(
    PAYMENT,
    "shop.Payment/Charge",
    Protocol.GRPC,
    (
        Work(Latency(0.003)),
        Query(
            PAYMENT_DB,
            "SELECT",
            "accounts",
            "SELECT id, risk_class FROM accounts WHERE user_id = $1",
            Latency(0.005, 0.4),
        ),
        External(CARD_GATEWAY, "POST", "/v2/charges", Latency(0.180, 0.45)),
        Query(
            PAYMENT_DB,
            "INSERT",
            "payments",
            "INSERT INTO payments (order_id, account_id, amount, currency) VALUES ($1, $2, $3, $4)",
            Latency(0.007, 0.4),
        ),
    ),
    fault=DECLINED,
    log="charged {amount} EUR for order {order}",
    failure_log="charge for order {order} failed: {fault}",
    attributes={"shop.payment.amount": "{amount}", "shop.payment.currency": "EUR"},
)
SHIP = Operation(
    INVENTORY,
    "orders",
    Protocol.QUEUE,
    (
        Work(Latency(0.004)),
        Query(
            INVENTORY_DB,
            "INSERT",
            "shipments",
            "INSERT INTO shipments (order_id, product_id, quantity) VALUES ($1, $2, $3)",
            Latency(0.010, 0.4),
        ),
    ),
    log="shipment of order {order} planned",
)
PLACE_ORDER = Operation(
    CHECKOUT,
    "POST /orders",
    Protocol.HTTP,
    (
        Work(Latency(0.004)),
        Call(GET_CART),
        Parallel((Call(GET_PRODUCT), Call(RESERVE))),
        Work(Latency(0.002)),
        Call(CHARGE, attempts=2),
        Publish("orders", SHIP),
    ),
    event="shop.order.placed",
    failure_log="order {order} was not placed: {fault}",
    attributes={"shop.order.id": "{order}"},
)

HOME = Operation(
    STOREFRONT,
    "GET /",
    Protocol.HTTP,
    (Work(FAST), Parallel((Call(LIST_PRODUCTS), Call(GET_CART))), Work(Latency(0.006))),
)
PRODUCT_PAGE = Operation(
    STOREFRONT,
    "GET /product/{id}",
    Protocol.HTTP,
    (Work(FAST), Call(GET_PRODUCT), Work(Latency(0.005))),
    log="GET /product/{product} 200",
)
ADD_TO_CART = Operation(STOREFRONT, "POST /cart", Protocol.HTTP, (Work(FAST), Call(ADD_ITEM), Work(FAST)))
CHECK_OUT = Operation(
    STOREFRONT, "POST /checkout", Protocol.HTTP, (Work(FAST), Call(PLACE_ORDER), Work(Latency(0.004)))
)

ENTRANCES = ((HOME, 0.35), (PRODUCT_PAGE, 0.35), (ADD_TO_CART, 0.18), (CHECK_OUT, 0.12))
"""What visitors ask for, and how often."""
