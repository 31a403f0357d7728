"""Access logs of Amazon Web Services: S3, Elastic Load Balancing (classic) and CloudFront.

Sources: the AWS documentation of these logs; the names of the fields are those of the Elastic Common Schema.
"""

from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.notation import columns, dashed

_S3 = dashed(
    r"%{WORD:aws.s3access.bucket_owner} %{NOTSPACE:aws.s3access.bucket} \[%{HTTPDATE:timestamp}\] "
    r"%{-IP:client.address} %{-NOTSPACE:client.user.id} %{NOTSPACE:aws.s3access.request_id} "
    r"%{NOTSPACE:aws.s3access.operation} %{-NOTSPACE:aws.s3access.key} "
    r'(?:-|"%{S3_REQUEST_LINE:aws.s3access.request_uri}") '
    r"%{-INT:http.response.status_code:int} %{-NOTSPACE:aws.s3access.error_code} "
    r"%{-INT:aws.s3access.bytes_sent:long} %{-INT:aws.s3access.object_size:long} "
    r"%{-INT:aws.s3access.total_time:int} %{-INT:aws.s3access.turn_around_time:int} "
    r'"%{-DATA:http.request.referrer}" "%{-DATA:user_agent.original}" %{-NOTSPACE:aws.s3access.version_id}'
    r"(?: %{-NOTSPACE:aws.s3access.host_id} %{-NOTSPACE:aws.s3access.signature_version} %{-NOTSPACE:tls.cipher} "
    r"%{-NOTSPACE:aws.s3access.authentication_type} %{-NOTSPACE:aws.s3access.host_header} "
    r"%{-NOTSPACE:aws.s3access.tls_version})?"
)

_ELB = dashed(
    r"%{TIMESTAMP_ISO8601:timestamp} %{NOTSPACE:aws.elb.name} %{IP:source.address}:%{INT:source.port:int} "
    r"(?:-|(?:%{IP:aws.elb.backend.ip}:%{INT:aws.elb.backend.port:int})) "
    r"%{-1NUMBER:aws.elb.request_processing_time.sec:float} %{-1NUMBER:aws.elb.backend_processing_time.sec:float} "
    r"%{-1NUMBER:aws.elb.response_processing_time.sec:float} %{INT:http.response.status_code:int} "
    r"%{-INT:aws.elb.backend.http.response.status_code:int} %{INT:http.request.body.size:long} "
    r'%{INT:http.response.body.size:long} "%{ELB_REQUEST_LINE}"'
    r'(?: "%{-DATA:user_agent.original}" %{-NOTSPACE:tls.cipher} %{-NOTSPACE:aws.elb.ssl_protocol})?'
)

_CLOUDFRONT_FIRST = columns(
    "WORD:aws.cloudfront.x_edge_location -INT:destination.bytes:long IPORHOST:source.address "
    "WORD:http.request.method HOSTNAME:url.domain NOTSPACE:url.path",
    r"\t",
)
_CLOUDFRONT_SECOND = columns(
    "-DATA:http.request.referrer DATA:user_agent.original -DATA:url.query -DATA:aws.cloudfront.http.request.cookie "
    "WORD:aws.cloudfront.x_edge_result_type NOTSPACE:aws.cloudfront.x_edge_request_id "
    "HOSTNAME:aws.cloudfront.http.request.host URIPROTO:network.protocol.name -INT:source.bytes:long "
    "NUMBER:aws.cloudfront.time_taken:float -IP:network.forwarded_ip -DATA:aws.cloudfront.ssl_protocol "
    "-NOTSPACE:tls.cipher WORD:aws.cloudfront.x_edge_response_result_type",
    r"\t",
)
_CLOUDFRONT_LAST = columns(
    "-DATA:aws.cloudfront.fle_status -DATA:aws.cloudfront.fle_encrypted_fields INT:source.port:int "
    "NUMBER:aws.cloudfront.time_to_first_byte:float -DATA:aws.cloudfront.x_edge_detailed_result_type "
    "-NOTSPACE:http.request.mime_type -INT:aws.cloudfront.http.request.size:long "
    "-INT:aws.cloudfront.http.request.range.start:long -INT:aws.cloudfront.http.request.range.end:long",
    r"\t",
)

CLOUD: Mapping[str, str] = {
    "S3_REQUEST_LINE": "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?)",
    "S3_ACCESS_LOG": _S3,
    "ELB_URIHOST": "%{IPORHOST:url.domain}(?::%{POSINT:url.port:int})?",
    "ELB_URIPATHQUERY": r"%{URIPATH:url.path}(?:\?%{URIQUERY:url.query})?",
    "ELB_URIPATHPARAM": "%{ELB_URIPATHQUERY}",
    "ELB_URI": (
        "%{URIPROTO:url.scheme}://(?:%{USER:url.username}(?::[^@]*)?@)?(?:%{ELB_URIHOST})?(?:%{ELB_URIPATHQUERY})?"
    ),
    "ELB_REQUEST_LINE": "(?:%{WORD:http.request.method} %{ELB_URI:url.original}(?: HTTP/%{NUMBER:http.version})?)",
    "ELB_V1_HTTP_LOG": _ELB,
    "ELB_ACCESS_LOG": "%{ELB_V1_HTTP_LOG}",
    "CLOUDFRONT_ACCESS_LOG": (
        r"(?P<timestamp>%{YEAR}-%{MONTHNUM}-%{MONTHDAY}\t%{TIME})\t"
        rf"{_CLOUDFRONT_FIRST}\t(?:000|%{{INT:http.response.status_code:int}})\t{_CLOUDFRONT_SECOND}"
        rf"(?:\t(?:-|HTTP/%{{NUMBER:http.version}})\t{_CLOUDFRONT_LAST})?"
    ),
}
