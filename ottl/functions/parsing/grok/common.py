"""The patterns that others are made of: words, numbers, addresses, paths, times.

Sources of what they match: RFC 4291 (IPv6), RFC 1123 (host names), RFC 3986 (URI), RFC 2141 (URN), ISO 8601, RFC 3164.
"""

from collections.abc import Mapping

_HEX16 = "[0-9A-Fa-f]{1,4}"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_DOTTED = rf"{_OCTET}(?:\.{_OCTET}){{3}}"


def _ipv6() -> str:
    """Every place at which ``::`` can stand for groups that are zero, and an IPv4 address can be the last two.

    The first form that matches is taken, so those with an IPv4 address are in front: its first number is a group, too.
    """
    forms = [rf"(?:{_HEX16}:){{7}}(?:{_HEX16}|:)", rf"(?:{_HEX16}:){{6}}(?:{_DOTTED}|:{_HEX16}|:)"]
    for before in range(5, 0, -1):
        skipped = rf"(?::{_HEX16}){{0,{5 - before}}}:{_DOTTED}" if before < 5 else rf":{_DOTTED}"
        forms.append(rf"(?:{_HEX16}:){{{before}}}(?:{skipped}|(?::{_HEX16}){{1,{7 - before}}}|:)")
    forms.append(rf":(?:(?::{_HEX16}){{0,5}}:{_DOTTED}|(?::{_HEX16}){{1,7}}|:)")
    return f"(?:{'|'.join(forms)})(?:%.+)?"


_LABEL = "[0-9A-Za-z][0-9A-Za-z-]{0,62}"

_MONTHS = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|Jun(?:e)?|Jul(?:y)?|Aug(?:ust)?|Sep(?:tember)?|"
    "Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_DAYS = "Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?"
_LEVELS = "alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?"

COMMON: Mapping[str, str] = {
    # Words
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": ".*?",
    "GREEDYDATA": ".*",
    "QUOTEDSTRING": r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""",
    "QS": "%{QUOTEDSTRING}",
    "UUID": "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "URN": "urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:[0-9A-Za-z()+,.:=@;$_!*'/?#-]+",
    "BOOL": "true|false",
    # Numbers
    "INT": r"[+-]?\d+",
    "NUMBER": "(?:%{BASE10NUM})",
    "BASE10NUM": r"(?:[+-]?\d+(?:\.\d+)?|\.\d+)",
    "BASE16NUM": "[+-]?(?:0x)?[0-9A-Fa-f]+",
    "BASE16FLOAT": r"[+-]?(?:0x)?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?",
    "POSINT": r"\b[1-9]\d*\b",
    "NONNEGINT": r"\b\d+\b",
    # Addresses and names of hosts
    "IP": "(?:%{IPV6}|%{IPV4})",
    "IPV6": _ipv6(),
    "IPV4": r"(?:(?:25[0-5]|2[0-4]\d|[01]?\d\d?)\.){3}(?:25[0-5]|2[0-4]\d|[01]?\d\d?)",
    "IPORHOST": "(?:%{IP}|%{HOSTNAME})",
    "HOSTNAME": rf"\b{_LABEL}(?:\.{_LABEL})*(?:\.?|\b)",
    "HOSTPORT": "%{IPORHOST}:%{POSINT}",
    "EMAILLOCALPART": "[a-zA-Z][a-zA-Z0-9_.+-=:]+",
    "EMAILADDRESS": "%{EMAILLOCALPART}@%{HOSTNAME}",
    "USERNAME": "[a-zA-Z0-9._-]+",
    "USER": "%{USERNAME}",
    "MAC": "(?:%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC})",
    "CISCOMAC": r"[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}",
    "WINDOWSMAC": "[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}",
    "COMMONMAC": "[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}",
    # Paths
    "PATH": "(?:%{UNIXPATH}|%{WINPATH})",
    "UNIXPATH": r"(?:/[\w_%!$@:.,+~-]+)+",
    "TTY": r"/dev/(?:pts|tty[pq]?)(?:\w+)?/?\d+",
    "WINPATH": r"[A-Za-z]+:(?:\\[^\\?*]+)+",
    "URI": r"%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?%{URIHOST}(?:%{URIPATH}(?:\?%{URIQUERY})?)?",
    "URIPROTO": "[A-Za-z][A-Za-z0-9+.-]+",
    "URIHOST": "%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]+)+",
    "URIQUERY": r"[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\-\[\]<>]*",
    "URIPARAM": r"\?%{URIQUERY}",
    "URIPATHPARAM": r"%{URIPATH}(?:\?%{URIQUERY})?",
    # Days and times
    "MONTH": rf"\b(?:{_MONTHS})\b",
    "MONTHNUM": "(?:0[1-9]|1[0-2])",
    "MONTHDAY": r"(?:0[1-9]|[12]\d|3[01]|[1-9])",
    "DAY": rf"\b(?:{_DAYS})\b",
    "YEAR": r"(?:\d\d){1,2}",
    "HOUR": r"(?:2[0-3]|[01]?\d)",
    "MINUTE": r"[0-5]\d",
    "SECOND": r"(?:[0-5]\d|60)(?:[:.,]\d+)?",  # 60 is a leap second
    "TIME": "%{HOUR}:%{MINUTE}(?::%{SECOND})?",
    "DATE_US": "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}",
    "DATE_EU": "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}",
    "DATE": "%{DATE_US}|%{DATE_EU}",
    "DATESTAMP": "%{DATE}[- ]%{TIME}",
    "TZ": "(?:[PMACE][SED]T|UTC)",
    "ISO8601_TIMEZONE": "(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))",
    "ISO8601_SECOND": "%{SECOND}",
    "TIMESTAMP_ISO8601": ("%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?"),
    "DATESTAMP_RFC822": "%{DAY} %{MONTH} %{MONTHDAY} %{YEAR} %{TIME} %{TZ}",
    "DATESTAMP_RFC2822": "%{DAY}, %{MONTHDAY} %{MONTH} %{YEAR} %{TIME} %{ISO8601_TIMEZONE}",
    "DATESTAMP_OTHER": "%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{TZ} %{YEAR}",
    "DATESTAMP_EVENTLOG": "%{YEAR}%{MONTHNUM}%{MONTHDAY}%{HOUR}%{MINUTE}%{SECOND}",
    "HTTPDATE": "%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}",
    # Parts of logs
    "SYSLOGTIMESTAMP": "%{MONTH} +%{MONTHDAY} %{TIME}",
    "PROG": r"[!-Z\\^-~]+",
    "SYSLOGPROG": r"%{PROG}(?:\[\d+\])?",
    "SYSLOGHOST": "%{IPORHOST}",
    "SYSLOGFACILITY": "<%{NONNEGINT}.%{NONNEGINT}>",
    "SYSLOGBASE": "%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host.name} %{SYSLOGPROG}:",
    "LOGLEVEL": f"(?i)(?:{_LEVELS})",
}
