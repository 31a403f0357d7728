"""Wire formats: OTLP protobuf and JSON, ClickHouse Native, Prometheus names."""
