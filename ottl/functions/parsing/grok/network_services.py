"""Logs of BIND 9, Zeek (formerly Bro), Exim, Junos and Squid.

Sources: the documentation of each program's log; the names of the fields are those of the Elastic Common Schema.
"""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.notation import columns, dashed

_DNS_TYPES = (
    "A AAAA CAA CDNSKEY CDS CERT CNAME CSYNC DLV DNAME DNSKEY DS HINFO LOC MX NAPTR NS NSEC NSEC3 OPENPGPKEY PTR RRSIG "
    "RP SIG SMIMEA SOA SRV TSIG TXT URI IN"
)

_BIND9: Mapping[str, str] = {
    "BIND9_TIMESTAMP": "%{MONTHDAY}-%{MONTH}-%{YEAR} %{TIME}",
    "BIND9_DNSTYPE": f"(?:{'|'.join(_DNS_TYPES.split())})",
    "BIND9_CATEGORY": "(?:queries)",
    "BIND9_QUERYLOGBASE": (
        r"client(?::? @0x[0-9A-Fa-f]+)? %{IP:client.address}#%{POSINT:client.port:int} "
        r"\(%{GREEDYDATA:bind.log.question.name}\): query: %{GREEDYDATA:dns.question.name} "
        r"(?P<dns___question___class>IN) %{BIND9_DNSTYPE:dns.question.type}(?::? %{DATA:bind.log.question.flags})? "
        r"\(%{IP:server.address}\)"
    ),
    # The category's field is spelled so in the set that others know.
    "BIND9_QUERYLOG": (
        "%{BIND9_TIMESTAMP:timestamp} %{BIND9_CATEGORY:bing.log.category}: %{LOGLEVEL:log.level}: %{BIND9_QUERYLOGBASE}"
    ),
    "BIND9": "%{BIND9_QUERYLOG}",
}

_ENDS = (
    "NUMBER:timestamp NOTSPACE:zeek.session_id IP:source.address INT:source.port:int IP:destination.address "
    "INT:destination.port:int "
)
_ZEEK: Mapping[str, str] = {
    "BRO_BOOL": "[TF]",
    "BRO_DATA": r"[^\t]+",
    "BRO_HTTP": columns(
        _ENDS + "INT:zeek.http.trans_depth:int -WORD:http.request.method -BRO_DATA:url.domain -BRO_DATA:url.original "
        "-BRO_DATA:http.request.referrer -BRO_DATA:user_agent.original -NUMBER:http.request.body.size:long "
        "-NUMBER:http.response.body.size:long -POSINT:http.response.status_code:int -DATA:zeek.http.status_msg "
        "-POSINT:zeek.http.info_code:int -DATA:zeek.http.info_msg -BRO_DATA:zeek.http.filename",
        r"\t",
    )
    + r"\t(?:\(empty\)|%{BRO_DATA:zeek.http.tags})\t"
    + columns(
        "-BRO_DATA:url.username -BRO_DATA:url.password -BRO_DATA:zeek.http.proxied -BRO_DATA:zeek.http.orig_fuids "
        "-BRO_DATA:http.request.mime_type -BRO_DATA:zeek.http.resp_fuids -BRO_DATA:http.response.mime_type",
        r"\t",
    ),
    "BRO_DNS": columns(
        _ENDS + "WORD:network.transport -INT:dns.id:int -BRO_DATA:dns.question.name -INT:zeek.dns.qclass:int "
        "-BRO_DATA:zeek.dns.qclass_name -INT:zeek.dns.qtype:int -BRO_DATA:dns.question.type -INT:zeek.dns.rcode:int "
        "-BRO_DATA:dns.response_code -BRO_BOOL:zeek.dns.AA -BRO_BOOL:zeek.dns.TC -BRO_BOOL:zeek.dns.RD "
        "-BRO_BOOL:zeek.dns.RA -NONNEGINT:zeek.dns.Z:int -BRO_DATA:zeek.dns.answers -DATA:zeek.dns.TTLs "
        "-BRO_BOOL:zeek.dns.rejected",
        r"\t",
    ),
    "BRO_CONN": columns(
        _ENDS + "WORD:network.transport -BRO_DATA:network.protocol.name -NUMBER:zeek.connection.duration:float "
        "-INT:zeek.connection.orig_bytes:long -INT:zeek.connection.resp_bytes:long -BRO_DATA:zeek.connection.state "
        "-BRO_BOOL:zeek.connection.local_orig",
        r"\t",
    )
    + dashed(r"\t(?:%{-BRO_BOOL:zeek.connection.local_resp}\t)?")  # since Bro 2.4
    + columns(
        "-INT:zeek.connection.missed_bytes:long -BRO_DATA:zeek.connection.history -INT:source.packets:long "
        "-INT:source.bytes:long -INT:destination.packets:long -INT:destination.bytes:long",
        r"\t",
    )
    + r"\t(?:\(empty\)|%{BRO_DATA:zeek.connection.tunnel_parents})",
    "BRO_FILES": columns(
        "NUMBER:timestamp NOTSPACE:zeek.files.fuid -IP:server.address -IP:client.address "
        "-BRO_DATA:zeek.files.session_ids -BRO_DATA:zeek.files.source -INT:zeek.files.depth:int "
        "-BRO_DATA:zeek.files.analyzers -BRO_DATA:file.mime_type -BRO_DATA:file.name -NUMBER:zeek.files.duration:float "
        "-BRO_DATA:zeek.files.local_orig -BRO_BOOL:zeek.files.is_orig -INT:zeek.files.seen_bytes:long "
        "-INT:file.size:long -INT:zeek.files.missing_bytes:long -INT:zeek.files.overflow_bytes:long "
        "-BRO_BOOL:zeek.files.timedout -BRO_DATA:zeek.files.parent_fuid -BRO_DATA:file.hash.md5 "
        "-BRO_DATA:file.hash.sha1 -BRO_DATA:file.hash.sha256 -BRO_DATA:zeek.files.extracted",
        r"\t",
    ),
}

_EXIM: Mapping[str, str] = {
    "EXIM_MSGID": "[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}",
    "EXIM_FLAGS": r"(?:<=|=>|->|\*>|\*\*|==|<>|>>)",
    "EXIM_DATE": "(?::?%{YEAR}-%{MONTHNUM}-%{MONTHDAY} %{TIME})",
    "EXIM_PID": r"\[%{POSINT:process.pid:int}\]",
    "EXIM_QT": r"(?:(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?)",
    "EXIM_EXCLUDE_TERMS": (
        "(?:Message is frozen|(?:Start|End) queue run| Warning: | retry time not reached | no (?:IP address|host name) "
        "found for (?:IP address|host) | unexpected disconnection while reading SMTP command | no immediate delivery: |"
        "another process is handling this message)"
    ),
    "EXIM_REMOTE_HOST": (
        r"(?:H=(?:\(%{NOTSPACE:source.host.name}\) )?(?:\(%{NOTSPACE:exim.log.remote_address}\) )?"
        r"\[%{IP:source.address}\](?::%{POSINT:source.port:int})?)"
    ),
    "EXIM_INTERFACE": r"(?:I=\[%{IP:destination.address}\](?::%{NUMBER:destination.port:int}))",
    "EXIM_PROTOCOL": "(?:P=%{NOTSPACE:network.protocol.name})",
    "EXIM_MSG_SIZE": "(?:S=%{NUMBER:exim.log.message.body.size:int})",
    "EXIM_HEADER_ID": "(?:id=%{NOTSPACE:exim.log.header_id})",
    "EXIM_QUOTED_CONTENT": r'(?:[^"\\]|\\.)*',
    "EXIM_SUBJECT": '(?:T="%{EXIM_QUOTED_CONTENT:exim.log.message.subject}")',
    "EXIM_UNKNOWN_FIELD": "(?:[A-Za-z0-9]{1,4}=(?:%{QUOTEDSTRING}|%{NOTSPACE}))",
    "EXIM_NAMED_FIELDS": (
        "(?: (?:%{EXIM_REMOTE_HOST}|%{EXIM_INTERFACE}|%{EXIM_PROTOCOL}|%{EXIM_MSG_SIZE}|%{EXIM_HEADER_ID}|"
        "%{EXIM_SUBJECT}|%{EXIM_UNKNOWN_FIELD}))*"
    ),
    "EXIM_MESSAGE_ARRIVAL": (
        "%{EXIM_DATE:timestamp} (?:%{EXIM_PID} )?%{EXIM_MSGID:exim.log.message.id} (?P<exim___log___flags><=) "
        "(?:(?P<exim___log___status>[a-z:]) )?%{EMAILADDRESS:exim.log.sender.email}%{EXIM_NAMED_FIELDS}"
        "(?:(?: from <?%{DATA:exim.log.sender.original}>?)? for %{EMAILADDRESS:exim.log.recipient.email})?"
    ),
    "EXIM": "%{EXIM_MESSAGE_ARRIVAL}",
}

_FLOW_ENDS = (
    "%{IP:source.address}/%{INT:source.port:int}->%{IP:destination.address}/%{INT:destination.port:int} "
    "%{DATA:juniper.srx.service_name}"
)
_FLOW_NAT = (
    "%{IP:source.nat.ip}/%{INT:source.nat.port:int}->%{IP:destination.nat.ip}/%{INT:destination.nat.port:int} "
    "(?:None|%{DATA:juniper.srx.src_nat_rule_name}) (?:None|%{DATA:juniper.srx.dst_nat_rule_name})"
)
_FLOW_RULE = "%{DATA:rule.name} %{DATA:observer.ingress.zone} %{DATA:observer.egress.zone}"
_JUNOS: Mapping[str, str] = {
    "RT_FLOW_TAG": "(?:RT_FLOW_SESSION_CREATE|RT_FLOW_SESSION_CLOSE|RT_FLOW_SESSION_DENY)",
    "RT_FLOW_EVENT": "%{RT_FLOW_TAG}",
    "RT_FLOW1": (
        f"%{{RT_FLOW_TAG:juniper.srx.tag}}: %{{GREEDYDATA:juniper.srx.reason}}: {_FLOW_ENDS} {_FLOW_NAT} "
        f"%{{INT:network.iana_number}} {_FLOW_RULE} %{{INT:juniper.srx.session_id}} "
        r"\d+\(%{INT:source.bytes:long}\) \d+\(%{INT:destination.bytes:long}\) %{INT:juniper.srx.elapsed_time:int} .*"
    ),
    "RT_FLOW2": (
        f"%{{RT_FLOW_TAG:juniper.srx.tag}}: session created {_FLOW_ENDS} {_FLOW_NAT} %{{INT:network.iana_number}} "
        f"{_FLOW_RULE} %{{INT:juniper.srx.session_id}} .*"
    ),
    "RT_FLOW3": (
        f"%{{RT_FLOW_TAG:juniper.srx.tag}}: session denied {_FLOW_ENDS} "
        rf"%{{INT:network.iana_number}}\(\d\) {_FLOW_RULE} (?:.*)?"
    ),
}

_SQUID: Mapping[str, str] = {
    "SQUID3_STATUS": "(?:%{POSINT:http.response.status_code:int}|0|000)",
    "SQUID3": dashed(
        r"%{NUMBER:timestamp}\s+%{NUMBER:squid.request.duration:int}\s%{IP:source.address}\s"
        r"%{WORD:event.action}/%{SQUID3_STATUS}\s%{INT:http.response.bytes:long}\s%{WORD:http.request.method}\s"
        r"%{NOTSPACE:url.original}\s%{-NOTSPACE:user.name}\s%{WORD:squid.hierarchy_code}/"
        r"%{-IPORHOST:destination.address}\s%{-NOTSPACE:http.response.mime_type}"
    ),
}

NETWORK_SERVICES: Mapping[str, str] = {**_BIND9, **_ZEEK, **_EXIM, **_JUNOS, **_SQUID}
