"""Logs of NetScreen, iptables, Shorewall and the SuSE firewall.

Sources: the documentation of each program's log; the names of the fields are those of the Elastic Common Schema.
"""

from collections.abc import Mapping

FIREWALLS: Mapping[str, str] = {
    "NETSCREENSESSIONLOG": (
        r"%{SYSLOGTIMESTAMP:timestamp} %{IPORHOST:observer.hostname} %{NOTSPACE:observer.name}: "
        r"(?P<observer___product>NetScreen) device_id=%{WORD:netscreen.device_id} .*?"
        r"(?:system-\w+-%{NONNEGINT:event.code}\(%{WORD:netscreen.session.type}\))?: "
        r'start_time="%{DATA:netscreen.session.start_time}" duration=%{INT:netscreen.session.duration:int} '
        r"policy_id=%{INT:netscreen.policy_id} service=%{DATA:netscreen.service} "
        r"proto=%{INT:netscreen.protocol_number:int} src zone=%{WORD:observer.ingress.zone} "
        r"dst zone=%{WORD:observer.egress.zone} action=%{WORD:event.action} sent=%{INT:source.bytes:long} "
        r"rcvd=%{INT:destination.bytes:long} src=%{IPORHOST:source.address} dst=%{IPORHOST:destination.address}"
        r"(?: src_port=%{INT:source.port:int} dst_port=%{INT:destination.port:int})?"
        r"(?: src-xlated ip=%{IP:source.nat.ip} port=%{INT:source.nat.port:int} "
        r"dst-xlated ip=%{IP:destination.nat.ip} port=%{INT:destination.nat.port:int})?"
        r"(?: session_id=%{INT:netscreen.session.id} reason=%{GREEDYDATA:netscreen.session.reason})?"
    ),
    "IPTABLES_TCP_FLAGS": "(?:(?:CWR|ECE|URG|ACK|PSH|RST|SYN|FIN) )*",
    "IPTABLES_TCP_PART": (
        r"(?:SEQ=%{INT:iptables.tcp.seq:int}\s+)?(?:ACK=%{INT:iptables.tcp.ack:int}\s+)?"
        r"WINDOW=%{INT:iptables.tcp.window:int}\s+RES=0x%{BASE16NUM:iptables.tcp_reserved_bits}\s+"
        r"%{IPTABLES_TCP_FLAGS:iptables.tcp.flags}"
    ),
    "IPTABLES4_FRAG": r"(?:\s?(?:CE|DF|MF))*",
    "IPTABLES4_PART": (
        r"SRC=%{IPV4:source.address}\s+DST=%{IPV4:destination.address}\s+LEN=(?:%{INT:iptables.length:int})?\s+"
        r"TOS=(?:0|0x%{BASE16NUM:iptables.tos})?\s+PREC=(?:0x%{BASE16NUM:iptables.precedence_bits})?\s+"
        r"TTL=(?:%{INT:iptables.ttl:int})?\s+ID=(?:%{INT:iptables.id})?\s+"
        r"(?:%{IPTABLES4_FRAG:iptables.fragment_flags})?(?:\s+FRAG: %{INT:iptables.fragment_offset:int})?"
    ),
    "IPTABLES6_PART": (
        r"SRC=%{IPV6:source.address}\s+DST=%{IPV6:destination.address}\s+LEN=(?:%{INT:iptables.length:int})?\s+"
        r"TC=(?:0|0x%{BASE16NUM:iptables.tos})?\s+HOPLIMIT=(?:%{INT:iptables.ttl:int})?\s+"
        r"FLOWLBL=(?:%{INT:iptables.flow_label})?"
    ),
    "IPTABLES": (
        r"IN=(?:%{NOTSPACE:observer.ingress.interface.name})?\s+OUT=(?:%{NOTSPACE:observer.egress.interface.name})?\s+"
        r"(?:MAC=(?:%{COMMONMAC:destination.mac})?(?::%{COMMONMAC:source.mac})?(?::[A-Fa-f0-9]{2}:[A-Fa-f0-9]{2})?\s+)?"
        r"(?::?%{IPTABLES4_PART}|%{IPTABLES6_PART}).*?PROTO=(?:%{WORD:network.transport})?\s+"
        r"SPT=(?:%{INT:source.port:int})?\s+DPT=(?:%{INT:destination.port:int})?\s+(?:%{IPTABLES_TCP_PART})?"
    ),
    "SHOREWALL": (
        r"(?:%{SYSLOGTIMESTAMP:timestamp}) (?:%{WORD:observer.hostname}) .*Shorewall:"
        r"(?:%{WORD:shorewall.firewall.type})?:(?:%{WORD:shorewall.firewall.action})?.*%{IPTABLES}"
    ),
    "SFW2_LOG_PREFIX": r"SFW2-INext-%{NOTSPACE:suse.firewall.action}",
    "SFW2": (
        r"(?:(?:%{SYSLOGTIMESTAMP:timestamp})|(?:%{TIMESTAMP_ISO8601:timestamp}))\s*%{HOSTNAME:observer.hostname}.*?"
        r"%{SFW2_LOG_PREFIX:suse.firewall.log_prefix}\s*%{IPTABLES}"
    ),
}
