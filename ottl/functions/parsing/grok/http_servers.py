"""Logs of the Apache HTTP Server and of HAProxy.

Sources: mod_log_config and the error log of Apache's documentation, chapter 8 of HAProxy's; the names of the fields are
those of the Elastic Common Schema.
"""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.notation import dashed

_HTTPD: Mapping[str, str] = {
    "HTTPDUSER": "%{EMAILADDRESS}|%{USER}",
    "HTTPDERROR_DATE": "%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{YEAR}",
    "HTTPD_COMMONLOG": dashed(
        r"%{IPORHOST:source.address} %{-HTTPDUSER:apache.access.user.identity} %{-HTTPDUSER:user.name} "
        r'\[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}'
        r'(?: HTTP/%{NUMBER:http.version})?|%{DATA})" %{-INT:http.response.status_code:int} '
        r"%{-INT:http.response.body.size:long}"
    ),
    "HTTPD_COMBINEDLOG": dashed('%{HTTPD_COMMONLOG} "%{-DATA:http.request.referrer}" "%{-DATA:user_agent.original}"'),
    "HTTPD20_ERRORLOG": (
        r"\[%{HTTPDERROR_DATE:timestamp}\] \[%{LOGLEVEL:log.level}\] (?:\[client %{IPORHOST:source.address}\] )?"
        r"%{GREEDYDATA:message}"
    ),
    "HTTPD24_ERRORLOG": (
        r"\[%{HTTPDERROR_DATE:timestamp}\] \[(?:%{WORD:apache.error.module})?:%{LOGLEVEL:log.level}\] "
        r"\[pid %{POSINT:process.pid:long}(?::tid %{INT:process.thread.id:int})?\]"
        r"(?: \(%{POSINT:apache.error.proxy.error.code}\)?%{DATA:apache.error.proxy.error.message}:)?"
        r"(?: \[client %{IPORHOST:source.address}(?::%{POSINT:source.port:int})?\])?(?: %{DATA:error.code}:)? "
        r"%{GREEDYDATA:message}"
    ),
    "HTTPD_ERRORLOG": "%{HTTPD20_ERRORLOG}|%{HTTPD24_ERRORLOG}",
    "COMMONAPACHELOG": "%{HTTPD_COMMONLOG}",
    "COMBINEDAPACHELOG": "%{HTTPD_COMBINEDLOG}",
}

_HEAD = "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp}) %{IPORHOST:host.name} %{SYSLOGPROG}: "
_CLIENT = (
    r"%{IP:source.address}:%{INT:source.port:int} \[%{HAPROXYDATE:haproxy.request_date}\] "
    r"%{NOTSPACE:haproxy.frontend_name} %{NOTSPACE:haproxy.backend_name}/(?:<NOSRV>|%{NOTSPACE:haproxy.server_name}) "
)
_WAITS = "%{-1INT:haproxy.total_waiting_time_ms:int}/%{-1INT:haproxy.connection_wait_time_ms:int}"
_COUNTS = (
    "%{INT:haproxy.connections.active:int}/%{INT:haproxy.connections.frontend:int}/"
    "%{INT:haproxy.connections.backend:int}/%{INT:haproxy.connections.server:int}/"
    "%{INT:haproxy.connections.retries:int} %{INT:haproxy.server_queue:int}/%{INT:haproxy.backend_queue:int}"
)

_HAPROXY: Mapping[str, str] = {
    "HAPROXYTIME": r"\b%{HOUR}:%{MINUTE}(?::%{SECOND})?\b",
    "HAPROXYDATE": "%{MONTHDAY}/%{MONTH}/%{YEAR}:%{HAPROXYTIME}.%{INT}",
    "HAPROXYCAPTUREDREQUESTHEADERS": dashed("%{-DATA:haproxy.http.request.captured_headers}"),
    "HAPROXYCAPTUREDRESPONSEHEADERS": dashed("%{-DATA:haproxy.http.response.captured_headers}"),
    "HAPROXYURI": (
        r"(?:%{URIPROTO:url.scheme}://)?(?:%{USER:url.username}(?::[^@]*)?@)?"
        r"(?:%{IPORHOST:url.domain}(?::%{POSINT:url.port:int})?)?(?:%{URIPATH:url.path}(?:\?%{URIQUERY:url.query})?)?"
    ),
    "HAPROXYHTTPREQUESTLINE": (
        "(?:<BADREQ>|(?:%{WORD:http.request.method} %{HAPROXYURI:url.original}(?: HTTP/%{NUMBER:http.version})?))"
    ),
    "HAPROXYHTTPBASE": dashed(
        _CLIENT
        + f"%{{-1INT:haproxy.http.request.time_wait_ms:int}}/{_WAITS}/"
        + "%{-1INT:haproxy.http.request.time_wait_without_data_ms:int}/%{NOTSPACE:haproxy.total_time_ms} "
        "%{INT:http.response.status_code:int} %{INT:source.bytes:long} %{-DATA:haproxy.http.request.captured_cookie} "
        "%{-DATA:haproxy.http.response.captured_cookie} %{NOTSPACE:haproxy.termination_state} "
        + _COUNTS
        + r"(?: \{%{HAPROXYCAPTUREDREQUESTHEADERS}\}(?: \{%{HAPROXYCAPTUREDRESPONSEHEADERS}\})?)?"
        + '(?: "%{HAPROXYHTTPREQUESTLINE}"?)?'
    ),
    "HAPROXYHTTP": f"{_HEAD}%{{HAPROXYHTTPBASE}}",
    "HAPROXYTCP": dashed(
        f"{_HEAD}{_CLIENT}{_WAITS}/%{{NOTSPACE:haproxy.total_time_ms}} %{{INT:source.bytes:long}} "
        f"%{{NOTSPACE:haproxy.termination_state}} {_COUNTS}"
    ),
}

HTTP_SERVERS: Mapping[str, str] = {**_HTTPD, **_HAPROXY}
