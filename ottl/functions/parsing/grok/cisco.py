"""Messages of Cisco ASA by their numbers.

Source: Cisco's list of syslog messages of the ASA series; the names of the fields are those of the Elastic Common
Schema.
"""

from collections.abc import Mapping

_UNIT = r"\((?:Primary|Secondary)\) "
_DONE = "%{CISCO_ACTION:cisco.asa.outcome}"
_WAY = "%{CISCO_DIRECTION:cisco.asa.network.direction}"
_TRANSPORT = "%{WORD:cisco.asa.network.transport}"
_REASON = "%{CISCO_REASON:event.reason}"
_SOURCE = "%{IP:source.address}/%{INT:source.port:int}"
_DESTINATION = "%{IP:destination.address}/%{INT:destination.port:int}"
_SOURCE_USER = r"(?:\(%{DATA:source.user.name}\))?"
_DESTINATION_USER = r"(?:\(%{DATA:destination.user.name}\))?"
_IN, _OUT = "observer.ingress.interface.name", "observer.egress.interface.name"
_ON_INTERFACE = f"on interface %{{NOTSPACE:{_OUT}}}"
_ICMP = r"\(type %{INT:cisco.asa.icmp_type:int}, code %{INT:cisco.asa.icmp_code:int}\)"
_HASHES = r"\[%{DATA:metadata.cisco.asa.hashcode1}, %{DATA:metadata.cisco.asa.hashcode2}\]"
_ORIGINAL = "cisco.asa.original_ip_payload"


def _original(side: str) -> str:
    return (
        f"%{{IP:{_ORIGINAL}.{side}.address}}/%{{INT:{_ORIGINAL}.{side}.port:int}}"
        rf"(?:\(%{{DATA:{_ORIGINAL}.{side}.user.name}}\))?"
    )


def _host(interface: str, side: str) -> str:
    return (
        f"%{{NOTSPACE:{interface}}}:(?:(?:%{{IP:{side}.address}})|(?:%{{HOSTNAME:{side}.address}}))"
        rf"(?:/%{{INT:{side}.port:int}})?(?:\(%{{DATA:{side}.user.name}}\))?"
    )


_PARTS: Mapping[str, str] = {
    "CISCO_TAGGED_SYSLOG": (
        "^<%{POSINT:log.syslog.priority:int}>%{CISCOTIMESTAMP:timestamp}(?: %{SYSLOGHOST:host.name})? ?: "
        "%%{CISCOTAG:cisco.asa.tag}:"
    ),
    "CISCOTIMESTAMP": "%{MONTH} +%{MONTHDAY}(?: %{YEAR})? %{TIME}",
    "CISCOTAG": "[A-Z0-9]+-%{INT}-(?:[A-Z0-9_]+)",
    "CISCO_ACTION": (
        "Built|Teardown|Deny|Denied|denied by ACL|requested|permitted|denied|discarded|est-allowed|Dropping|created|"
        "deleted"
    ),
    "CISCO_REASON": (
        "Duplicate TCP SYN|Failed to locate egress interface|Invalid transport field|No matching connection|"
        r"DNS Response|DNS Query|(?:%{WORD}\s*)*"
    ),
    "CISCO_DIRECTION": "Inbound|inbound|Outbound|outbound",
    "CISCO_INTERVAL": "first hit|%{INT}-second interval",
    "CISCO_XLATE_TYPE": "static|dynamic",
    "CISCO_HITCOUNT_INTERVAL": (
        "hit-cnt %{INT:cisco.asa.hit_count:int} (?:first hit|%{INT:cisco.asa.interval:int}-second interval)"
    ),
    "CISCO_SRC_IP_USER": f"%{{NOTSPACE:{_IN}}}:%{{IP:source.address}}{_SOURCE_USER}",
    "CISCO_DST_IP_USER": f"%{{NOTSPACE:{_OUT}}}:%{{IP:destination.address}}{_DESTINATION_USER}",
    "CISCO_SRC_HOST_PORT_USER": _host(_IN, "source"),
    "CISCO_DST_HOST_PORT_USER": _host(_OUT, "destination"),
}

_FAILOVER: Mapping[str, str] = {
    "CISCOFW104001": f"{_UNIT}Switching to ACTIVE - %{{GREEDYDATA:event.reason}}",
    "CISCOFW104002": f"{_UNIT}Switching to STANDBY - %{{GREEDYDATA:event.reason}}",
    "CISCOFW104003": rf"{_UNIT}Switching to FAILED\.",
    "CISCOFW104004": rf"{_UNIT}Switching to OK\.",
    "CISCOFW105003": f"{_UNIT}Monitoring on [Ii]nterface %{{NOTSPACE:network.interface.name}} waiting",
    "CISCOFW105004": f"{_UNIT}Monitoring on [Ii]nterface %{{NOTSPACE:network.interface.name}} normal",
    "CISCOFW105005": (
        f"{_UNIT}Lost Failover communications with mate on [Ii]nterface %{{NOTSPACE:network.interface.name}}"
    ),
    "CISCOFW105008": f"{_UNIT}Testing [Ii]nterface %{{NOTSPACE:network.interface.name}}",
    "CISCOFW105009": f"{_UNIT}Testing on [Ii]nterface %{{NOTSPACE:network.interface.name}} (?:Passed|Failed)",
}

_ACCESS: Mapping[str, str] = {
    "CISCOFW106001": (
        f"{_WAY} {_TRANSPORT} connection {_DONE} from {_SOURCE} to {_DESTINATION} flags %{{DATA:cisco.asa.tcp_flags}} "
        f"{_ON_INTERFACE}"
    ),
    "CISCOFW106006_106007_106010": (
        f"{_DONE} {_WAY} {_TRANSPORT} (?:from|src) {_SOURCE}{_SOURCE_USER} (?:to|dst) {_DESTINATION}"
        f"{_DESTINATION_USER} (?:(?:{_ON_INTERFACE})|(?:due to {_REASON}))"
    ),
    "CISCOFW106014": rf"{_DONE} {_WAY} {_TRANSPORT} src %{{CISCO_SRC_IP_USER}} dst %{{CISCO_DST_IP_USER}}\s?{_ICMP}",
    "CISCOFW106015": (
        rf"{_DONE} {_TRANSPORT} \(%{{DATA:cisco.asa.rule_name}}\) from {_SOURCE} to {_DESTINATION} "
        f"flags %{{DATA:cisco.asa.tcp_flags}} {_ON_INTERFACE}"
    ),
    "CISCOFW106021": (
        f"{_DONE} {_TRANSPORT} reverse path check from %{{IP:source.address}} to %{{IP:destination.address}} "
        f"{_ON_INTERFACE}"
    ),
    "CISCOFW106023": (
        "%{CISCO_ACTION:action}(?: protocol)? %{WORD:network.protocol.name} src %{DATA:source.interface}:"
        r"%{DATA:source.address}(?:/%{INT:source.port})?(?:\(%{DATA:source.fwuser}\))? "
        r"dst %{DATA:destination.interface}:%{DATA:destination.address}(?:/%{INT:destination.port})?"
        r"(?:\(%{DATA:destination.fwuser}\))?(?: \(type %{INT:icmp_type}, code %{INT:icmp_code}\))? "
        r'by access-group "?%{DATA:policy_id}"? \[%{DATA:hashcode1}, %{DATA:hashcode2}\]'
    ),
    "CISCOFW106100_2_3": (
        f"access-list %{{NOTSPACE:cisco.asa.rule_name}} {_DONE} {_TRANSPORT} for user '%{{DATA:user.name}}' "
        rf"%{{DATA:{_IN}}}/%{{IP:source.address}}\(%{{INT:source.port:int}}\) -> "
        rf"%{{DATA:{_OUT}}}/%{{IP:destination.address}}\(%{{INT:destination.port:int}}\) %{{CISCO_HITCOUNT_INTERVAL}} "
        f"{_HASHES}"
    ),
    "CISCOFW106100": (
        f"access-list %{{NOTSPACE:cisco.asa.rule_name}} {_DONE} {_TRANSPORT} "
        rf"%{{DATA:{_IN}}}/%{{IP:source.address}}\(%{{INT:source.port:int}}\){_SOURCE_USER} -> "
        rf"%{{DATA:{_OUT}}}/%{{IP:destination.address}}\(%{{INT:destination.port:int}}\){_SOURCE_USER} "
        f"hit-cnt %{{INT:cisco.asa.hit_count:int}} %{{CISCO_INTERVAL}} {_HASHES}"
    ),
    "CISCOFW304001": (
        f"%{{IP:source.address}}{_SOURCE_USER} Accessed URL %{{IP:destination.address}}:%{{GREEDYDATA:url.original}}"
    ),
}

_CONNECTIONS: Mapping[str, str] = {
    "CISCOFW110002": f"{_REASON} for {_TRANSPORT} from %{{DATA:{_IN}}}:{_SOURCE} to {_DESTINATION}",
    "CISCOFW302010": (
        "%{INT:cisco.asa.connections.in_use:int} in use, %{INT:cisco.asa.connections.most_used:int} most used"
    ),
    "CISCOFW302013_302014_302015_302016": (
        f"{_DONE}(?: {_WAY})? {_TRANSPORT} connection %{{INT:cisco.asa.connection_id}} for %{{NOTSPACE:{_IN}}}:"
        rf"{_SOURCE}(?: \(%{{IP:source.nat.ip}}/%{{INT:source.nat.port:int}}\))?{_SOURCE_USER} to %{{NOTSPACE:{_OUT}}}:"
        rf"{_DESTINATION}(?: \(%{{IP:destination.nat.ip}}/%{{INT:destination.nat.port:int}}\))?{_DESTINATION_USER}"
        rf"(?: duration %{{TIME:cisco.asa.duration}} bytes %{{INT:network.bytes:long}})?(?: {_REASON})?"
        r"(?: \(%{DATA:user.name}\))?"
    ),
    "CISCOFW302020_302021": (
        f"{_DONE}(?: {_WAY})? {_TRANSPORT} connection for faddr %{{IP:destination.address}}/"
        f"%{{INT:cisco.asa.icmp_seq:int}}{_DESTINATION_USER} gaddr %{{IP:source.nat.ip}}/"
        r"%{INT:cisco.asa.icmp_type:int} laddr %{IP:source.address}/%{INT}(?: \(%{DATA:source.user.name}\))?"
    ),
    "CISCOFW305011": (
        f"{_DONE} %{{CISCO_XLATE_TYPE}} {_TRANSPORT} translation from %{{DATA:{_IN}}}:%{{IP:source.address}}"
        f"(?:/%{{INT:source.port:int}})?{_SOURCE_USER} to %{{DATA:{_OUT}}}:{_DESTINATION}"
    ),
    "CISCOFW313001_313004_313008": (
        f"{_DONE} {_TRANSPORT} type=%{{INT:cisco.asa.icmp_type:int}}, code=%{{INT:cisco.asa.icmp_code:int}} "
        f"from %{{IP:source.address}} {_ON_INTERFACE}(?: to %{{IP:destination.address}})?"
    ),
    "CISCOFW313005": (
        f"{_REASON} for {_TRANSPORT} error message: %{{WORD}} src %{{CISCO_SRC_IP_USER}} dst %{{CISCO_DST_IP_USER}} "
        rf"{_ICMP} on %{{NOTSPACE}} interface\.\s+Original IP payload: %{{WORD:{_ORIGINAL}.network.transport}} "
        f"src {_original('source')} dst {_original('destination')}"
    ),
    "CISCOFW419001": (
        f"{_DONE} {_TRANSPORT} packet from %{{NOTSPACE:{_IN}}}:{_SOURCE} to %{{NOTSPACE:{_OUT}}}:{_DESTINATION}, "
        "reason: %{GREEDYDATA:event.reason}"
    ),
    "CISCOFW419002": (
        f"{_REASON} from %{{DATA:{_IN}}}:{_SOURCE} to %{{DATA:{_OUT}}}:{_DESTINATION} with different initial sequence "
        "number"
    ),
    "CISCOFW500004": f"{_REASON} for protocol={_TRANSPORT}, from {_SOURCE} to {_DESTINATION}",
    "CISCOFW710001_710002_710003_710005_710006": (
        f"{_TRANSPORT} (?:request|access) {_DONE} from {_SOURCE} to %{{DATA:{_OUT}}}:{_DESTINATION}"
    ),
}

_BURST = "cisco.asa.burst"
_OTHERS: Mapping[str, str] = {
    "CISCOFW321001": (
        "Resource '%{DATA:cisco.asa.resource.name}' limit of %{POSINT:cisco.asa.resource.limit:int} reached for system"
    ),
    "CISCOFW402117": (
        rf"%{{WORD:cisco.asa.network.type}}: Received a non-IPSec packet \(protocol=\s?{_TRANSPORT}\) "
        r"from %{IP:source.address} to %{IP:destination.address}\.?"
    ),
    "CISCOFW402119": (
        r"%{WORD:cisco.asa.network.type}: Received an %{WORD:cisco.asa.ipsec.protocol} packet "
        r"\(SPI=\s?%{DATA:cisco.asa.ipsec.spi}, sequence number=\s?%{DATA:cisco.asa.ipsec.seq_num}\) "
        r"from %{IP:source.address} \(user=\s?%{DATA:source.user.name}\) to %{IP:destination.address} "
        r"that failed anti-replay checking\.?"
    ),
    "CISCOFW602303_602304": (
        rf"%{{WORD:cisco.asa.network.type}}: An {_WAY} %{{DATA:cisco.asa.ipsec.tunnel_type}} SA "
        r"\(SPI=%{DATA:cisco.asa.ipsec.spi}\) between %{IP:source.address} and %{IP:destination.address} "
        rf"\(user=%{{DATA:source.user.name}}\) has been {_DONE}"
    ),
    "CISCOFW713172": (
        r"Group = %{DATA:cisco.asa.source.group}, IP = %{IP:source.address}, Automatic NAT Detection Status:\s+"
        r"Remote end\s*%{DATA:metadata.cisco.asa.remote_nat}\s*behind a NAT device\s+"
        r"This\s+end\s*%{DATA:metadata.cisco.asa.local_nat}\s*behind a NAT device"
    ),
    "CISCOFW733100": (
        rf"\[\s*%{{DATA:{_BURST}.object}}\s*\] drop %{{DATA:{_BURST}.id}} exceeded. "
        rf"Current burst rate is %{{INT:{_BURST}.current_rate:int}} per second, "
        rf"max configured rate is %{{INT:{_BURST}.configured_rate:int}}; "
        rf"Current average rate is %{{INT:{_BURST}.avg_rate:int}} per second, "
        rf"max configured rate is %{{INT:{_BURST}.configured_avg_rate:int}}; "
        rf"Cumulative total count is %{{INT:{_BURST}.cumulative_count:int}}"
    ),
}

CISCO: Mapping[str, str] = {**_PARTS, **_FAILOVER, **_ACCESS, **_CONNECTIONS, **_OTHERS}
