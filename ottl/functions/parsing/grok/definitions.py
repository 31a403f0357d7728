"""All grok patterns by name; a later set has the last word on a name, as in go-grok."""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.applications import APPLICATIONS
from airis.ottl.functions.parsing.grok.cisco import CISCO
from airis.ottl.functions.parsing.grok.cloud import CLOUD
from airis.ottl.functions.parsing.grok.common import COMMON
from airis.ottl.functions.parsing.grok.firewalls import FIREWALLS
from airis.ottl.functions.parsing.grok.http_servers import HTTP_SERVERS
from airis.ottl.functions.parsing.grok.network_services import NETWORK_SERVICES
from airis.ottl.functions.parsing.grok.syslog import SYSLOG

DEFINITIONS: Mapping[str, str] = {
    **COMMON,
    **CLOUD,
    **NETWORK_SERVICES,
    **HTTP_SERVERS,
    **FIREWALLS,
    **CISCO,
    **APPLICATIONS,
    **SYSLOG,
}
