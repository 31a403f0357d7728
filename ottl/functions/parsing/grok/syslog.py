"""Lines of syslog and of what writes into it.

Sources: RFC 3164, RFC 5424; the names of the fields are those of the Elastic Common Schema.
"""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.notation import dashed

SYSLOG: Mapping[str, str] = {
    "SYSLOG5424PRINTASCII": "[!-~]+",
    "SYSLOGBASE2": (
        "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp})(?: %{SYSLOGFACILITY})?"
        "(?: %{SYSLOGHOST:host.name})?(?: %{SYSLOGPROG}:)?"
    ),
    "SYSLOGPAMSESSION": (
        r"%{SYSLOGBASE} (?:%{GREEDYDATA:message})%{WORD:system.auth.pam.module}\(%{DATA:system.auth.pam.origin}\): "
        r"session %{WORD:system.auth.pam.session_state} for user %{USERNAME:user.name}(?: by %{GREEDYDATA})?"
    ),
    "CRON_ACTION": "[A-Z ]+",
    "CRONLOG": r"%{SYSLOGBASE} \(%{USER:user.name}\) %{CRON_ACTION:system.cron.action} \(%{DATA:message}\)",
    "SYSLOGLINE": "%{SYSLOGBASE2} %{GREEDYDATA:message}",
    "SYSLOG5424PRI": "<%{NONNEGINT:log.syslog.priority:int}>",
    "SYSLOG5424SD": r"\[%{DATA}\]+",
    "SYSLOG5424BASE": dashed(
        "%{SYSLOG5424PRI}%{NONNEGINT:system.syslog.version} +%{-TIMESTAMP_ISO8601:timestamp} +%{-IPORHOST:host.name} +"
        "%{-SYSLOG5424PRINTASCII:process.command} +%{-POSINT:process.pid:int} +%{-SYSLOG5424PRINTASCII:event.code} +"
        "%{-SYSLOG5424SD:system.syslog.structured_data}?"
    ),
    "SYSLOG5424LINE": "%{SYSLOG5424BASE} +%{GREEDYDATA:message}",
}
