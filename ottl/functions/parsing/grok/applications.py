"""Logs of Java, Tomcat, Maven, MCollective, MongoDB, PostgreSQL, Rails, Redis and Ruby.

Sources: the documentation of each program's log; the names of the fields are those of the Elastic Common Schema.
"""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.notation import dashed

_JAVA: Mapping[str, str] = {
    "JAVACLASS": r"(?:[a-zA-Z$_][a-zA-Z$_0-9]*\.)*[a-zA-Z$_][a-zA-Z$_0-9]*",
    "JAVAFILE": "(?:[a-zA-Z$_0-9. -]+)",
    "JAVAMETHOD": "(?:<(?:cl)?init>|[a-zA-Z$_][a-zA-Z$_0-9]*)",
    "JAVASTACKTRACEPART": (
        r"%{SPACE}at %{JAVACLASS:java.log.origin.class.name}\.%{JAVAMETHOD:log.origin.function}"
        r"\(%{JAVAFILE:log.origin.file.name}(?::%{INT:log.origin.file.line:int})?\)"
    ),
    "JAVATHREAD": r"(?:[A-Z]{2}-Processor\d+)",
    "JAVALOGMESSAGE": "(?:.*)",
    "CATALINA7_DATESTAMP": "%{MONTH} %{MONTHDAY}, %{YEAR} %{HOUR}:%{MINUTE}:%{SECOND} (?:AM|PM)",
    "CATALINA7_LOG": (
        r"%{CATALINA7_DATESTAMP:timestamp} %{JAVACLASS:java.log.origin.class.name}"
        r"(?: %{JAVAMETHOD:log.origin.function})?\s*(?:%{LOGLEVEL:log.level}:)? %{JAVALOGMESSAGE:message}"
    ),
    "CATALINA8_DATESTAMP": "%{MONTHDAY}-%{MONTH}-%{YEAR} %{HOUR}:%{MINUTE}:%{SECOND}",
    "CATALINA8_LOG": (
        r"%{CATALINA8_DATESTAMP:timestamp} %{LOGLEVEL:log.level} \[%{DATA:java.log.origin.thread.name}\] "
        r"%{JAVACLASS:java.log.origin.class.name}\.(?:%{JAVAMETHOD:log.origin.function})? %{JAVALOGMESSAGE:message}"
    ),
    "CATALINA_DATESTAMP": "(?:%{CATALINA8_DATESTAMP})|(?:%{CATALINA7_DATESTAMP})",
    "CATALINALOG": "(?:%{CATALINA8_LOG})|(?:%{CATALINA7_LOG})",
    "TOMCAT7_LOG": "%{CATALINA7_LOG}",
    "TOMCAT8_LOG": "%{CATALINA8_LOG}",
    "TOMCATLEGACY_DATESTAMP": "%{YEAR}-%{MONTHNUM}-%{MONTHDAY} %{HOUR}:%{MINUTE}:%{SECOND}(?: %{ISO8601_TIMEZONE})?",
    "TOMCATLEGACY_LOG": (
        r"%{TOMCATLEGACY_DATESTAMP:timestamp} \| %{LOGLEVEL:log.level} \| %{JAVACLASS:java.log.origin.class.name} - "
        r"%{JAVALOGMESSAGE:message}"
    ),
    "TOMCAT_DATESTAMP": "(?:%{CATALINA8_DATESTAMP})|(?:%{CATALINA7_DATESTAMP})|(?:%{TOMCATLEGACY_DATESTAMP})",
    "TOMCATLOG": "(?:%{TOMCAT8_LOG})|(?:%{TOMCAT7_LOG})|(?:%{TOMCATLEGACY_LOG})",
    "MAVEN_VERSION": r"(?:\d+\.)?(?:\d+\.)?(?:\*|\d+)(?:[.-](?:RELEASE|SNAPSHOT))?",
}

_DATABASES: Mapping[str, str] = {
    "MONGO_LOG": r"%{SYSLOGTIMESTAMP:timestamp} \[%{WORD:db.mongodb.component}\] %{GREEDYDATA:message}",
    "MONGO_QUERY_CONTENT": "(?:.*?)",
    "MONGO_QUERY": r"\{ %{MONGO_QUERY_CONTENT:MONGO_QUERY} \} ntoreturn:",
    "MONGO_SLOWQUERY": (
        r"%{WORD:db.mongodb.profile.op} %{MONGO_WORDDASH:db.mongodb.database}\.%{MONGO_WORDDASH:db.mongodb.collection} "
        r"%{WORD}: \{ %{MONGO_QUERY_CONTENT:db.mongodb.query.original} \} "
        r"ntoreturn:%{NONNEGINT:db.mongodb.profile.ntoreturn:int} ntoskip:%{NONNEGINT:db.mongodb.profile.ntoskip:int} "
        r"nscanned:%{NONNEGINT:db.mongodb.profile.nscanned:int}.*? "
        r"nreturned:%{NONNEGINT:db.mongodb.profile.nreturned:int}.*? %{INT:db.mongodb.profile.duration:int}ms"
    ),
    "MONGO_WORDDASH": r"\b[\w-]+\b",
    "MONGO3_SEVERITY": r"\w",
    "MONGO3_COMPONENT": "%{WORD}",
    "MONGO3_LOG": dashed(
        r"%{TIMESTAMP_ISO8601:timestamp} %{MONGO3_SEVERITY:log.level} %{-MONGO3_COMPONENT:db.mongodb.component}%{SPACE}"
        r"(?:\[%{DATA:db.mongodb.context}\])? %{GREEDYDATA:message}"
    ),
    "POSTGRESQL": (
        "%{DATESTAMP:timestamp} %{TZ:event.timezone} %{DATA:user.name} %{GREEDYDATA:postgresql.log.connection_id} "
        "%{POSINT:process.pid:int}"
    ),
    "REDISTIMESTAMP": "%{MONTHDAY} %{MONTH} %{TIME}",
    "REDISLOG": r"\[%{POSINT:process.pid:int}\] %{REDISTIMESTAMP:timestamp} \*",
    "REDISMONLOG": (
        r"%{NUMBER:timestamp} \[%{INT:redis.database.id} %{IP:client.address}:%{POSINT:client.port:int}\] "
        r'"%{WORD:redis.command.name}"\s?%{GREEDYDATA:redis.command.args}'
    ),
}

_ACTIVE_RECORD = "ActiveRecord: %{NUMBER:rails.request.duration.active_record:float}ms"
_RUBY: Mapping[str, str] = {
    "MCOLLECTIVE": (r"., \[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:process.pid:int}\]%{SPACE}%{LOGLEVEL:log.level}"),
    "MCOLLECTIVEAUDIT": "%{TIMESTAMP_ISO8601:timestamp}:",
    "RUBY_LOGLEVEL": "(?:DEBUG|FATAL|ERROR|WARN|INFO)",
    "RUBY_LOGGER": (
        r"[DFEWI], \[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:process.pid:int}\] *%{RUBY_LOGLEVEL:log.level} -- +"
        r"%{DATA:process.command}: %{GREEDYDATA:message}"
    ),
    "RUUID": r"\S{32}",
    "RCONTROLLER": r"(?P<rails___controller___class>[^#]+)#(?P<rails___controller___action>\w+)",
    "RAILS3HEAD": (
        '(?m)Started %{WORD:http.request.method} "%{URIPATHPARAM:url.original}" for %{IPORHOST:source.address} at '
        "(?P<timestamp>%{YEAR}-%{MONTHNUM}-%{MONTHDAY} %{HOUR}:%{MINUTE}:%{SECOND} %{ISO8601_TIMEZONE})"
    ),
    "RPROCESSING": (
        r"\W*Processing by %{RCONTROLLER} as (?P<rails___request___format>\S+)"
        r"(?:\W*Parameters: \{%{DATA:rails.request.params}\}\W*)?"
    ),
    "RAILS3FOOT": (
        "Completed %{POSINT:http.response.status_code:int}%{DATA} in %{NUMBER:rails.request.duration.total:float}ms "
        "%{RAILS3PROFILE}%{GREEDYDATA}"
    ),
    "RAILS3PROFILE": (
        rf"(?:\(Views: %{{NUMBER:rails.request.duration.view:float}}ms \| {_ACTIVE_RECORD}|\({_ACTIVE_RECORD})?"
    ),
    "RAILS3": (
        r"%{RAILS3HEAD}(?:%{RPROCESSING})?(?P<rails___request___explain___original>(?:%{DATA}\n)*)(?:%{RAILS3FOOT})?"
    ),
}

APPLICATIONS: Mapping[str, str] = {**_JAVA, **_DATABASES, **_RUBY}
