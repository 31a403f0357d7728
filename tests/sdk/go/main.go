// Sends one trace, five metrics and two log records with an unmodified SDK.
// send PROTOCOL ENDPOINT SERVICE TRACE_ID START_S, PROTOCOL being grpc or http/protobuf.
package main

import (
	"context"
	"errors"
	"log"
	"math"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const schemaURL = "https://opentelemetry.io/schemas/1.30.0"

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func delta(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }

func exporters(ctx context.Context, protocol, endpoint string) (sdktrace.SpanExporter, sdkmetric.Exporter, sdklog.Exporter) {
	if protocol == "grpc" {
		traces := must(otlptrace.New(ctx, otlptracegrpc.NewClient(otlptracegrpc.WithEndpointURL(endpoint))))
		metrics := must(otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(endpoint), otlpmetricgrpc.WithCompressor("gzip"), otlpmetricgrpc.WithTemporalitySelector(delta)))
		logs := must(otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(endpoint)))
		return traces, metrics, logs
	}
	traces := must(otlptrace.New(ctx, otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))))
	metrics := must(otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint+"/v1/metrics"), otlpmetrichttp.WithTemporalitySelector(delta)))
	logs := must(otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint+"/v1/logs")))
	return traces, metrics, logs
}

func main() {
	protocol, endpoint, service := os.Args[1], os.Args[2], os.Args[3]
	traceID := must(trace.TraceIDFromHex(os.Args[4]))
	start := time.Unix(must(strconv.ParseInt(os.Args[5], 10, 64)), 0)
	at := func(nanoseconds time.Duration) time.Time { return start.Add(nanoseconds) }
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	spans, points, records := exporters(ctx, protocol, endpoint)
	from := resource.NewWithAttributes(schemaURL, attribute.String("service.name", service), attribute.Int("host.cpus", 4))
	stable := attribute.Bool("stable", true)

	tracing := sdktrace.NewTracerProvider(sdktrace.WithResource(from), sdktrace.WithSyncer(spans), sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
		AttributeValueLengthLimit:   -1,
		AttributeValueDepthLimit:    -1,
		AttributeCountLimit:         8,
		EventCountLimit:             1,
		LinkCountLimit:              1,
		AttributePerEventCountLimit: 2,
		AttributePerLinkCountLimit:  1,
	}))
	tracer := tracing.Tracer("tracer", trace.WithInstrumentationVersion("1.2.3"), trace.WithSchemaURL(schemaURL), trace.WithInstrumentationAttributes(stable))
	remote := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    traceID,
		SpanID:     must(trace.SpanIDFromHex("a1b2c3d4e5f60718")),
		TraceFlags: trace.FlagsSampled,
		TraceState: must(trace.ParseTraceState("vendor=1")),
		Remote:     true,
	})
	linked := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    must(trace.TraceIDFromHex("0af7651916cd43dd8448eb211c80319c")),
		SpanID:     must(trace.SpanIDFromHex("b7ad6b7169203331")),
		TraceFlags: trace.FlagsSampled,
		TraceState: must(trace.ParseTraceState("other=2")),
		Remote:     true,
	})
	tooMany := attribute.Int("one too many", 1)
	inParent, parent := tracer.Start(trace.ContextWithSpanContext(ctx, remote), "GET /cart",
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(at(123_456_789)),
		trace.WithAttributes(
			attribute.String("text", "für élise"),
			attribute.Int64("whole", math.MinInt64),
			attribute.Float64("fraction", 0.1),
			attribute.Bool("yes", true),
			attribute.StringSlice("texts", []string{"a", "b"}),
			attribute.Int64Slice("wholes", []int64{1, 2, math.MaxInt64}),
			attribute.Float64Slice("fractions", []float64{1, 2.5}),
			attribute.BoolSlice("none", nil),
			tooMany,
		),
		trace.WithLinks(trace.Link{SpanContext: linked}, trace.Link{SpanContext: linked, Attributes: []attribute.KeyValue{attribute.String("why", "cause"), tooMany}}),
	)
	parent.RecordError(errors.New("one too many"), trace.WithTimestamp(at(200_000_000)))
	parent.AddEvent("cache miss", trace.WithTimestamp(at(223_456_789)), trace.WithAttributes(attribute.String("key", "cart:7"), attribute.Int("tries", 2), tooMany))
	_, child := tracer.Start(inParent, "SELECT cart", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(at(123_456_789)))
	child.SetStatus(codes.Error, "no such table")
	child.End(trace.WithTimestamp(at(323_456_789)))
	parent.SetStatus(codes.Ok, "")
	parent.End(trace.WithTimestamp(at(1_123_456_790)))

	metering := sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(from),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(time.Hour))),
		sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Name: "orders"},
			sdkmetric.Stream{AttributeFilter: attribute.NewAllowKeysFilter("region")},
		), sdkmetric.NewView(
			sdkmetric.Instrument{Name: "size"},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 4, MaxScale: 20}},
		)),
	)
	meter := metering.Meter("meter", metric.WithInstrumentationVersion("4.5"), metric.WithSchemaURL(schemaURL), metric.WithInstrumentationAttributes(stable))
	must(meter.Int64Counter("orders", metric.WithUnit("{order}"), metric.WithDescription("Orders placed."))).Add(inParent, 3, metric.WithAttributes(attribute.String("region", "eu"), attribute.String("customer", "ann")))
	must(meter.Int64UpDownCounter("carts")).Add(ctx, -2)
	must(meter.Float64ObservableGauge("temperature", metric.WithUnit("Cel"), metric.WithFloat64Callback(func(_ context.Context, observer metric.Float64Observer) error {
		observer.Observe(21.5, metric.WithAttributes(attribute.String("room", "kitchen")))
		return nil
	})))
	explicit := must(meter.Float64Histogram("latency", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1)))
	exponential := must(meter.Float64Histogram("size", metric.WithUnit("By")))
	for _, value := range []float64{0.0625, 0.5, 4} {
		explicit.Record(inParent, value)
		exponential.Record(ctx, value)
	}

	logging := sdklog.NewLoggerProvider(sdklog.WithResource(from), sdklog.WithProcessor(sdklog.NewSimpleProcessor(records)), sdklog.WithAttributeCountLimit(4))
	logger := logging.Logger("logger", otellog.WithInstrumentationVersion("0.1"), otellog.WithSchemaURL(schemaURL), otellog.WithInstrumentationAttributes(stable))
	var declined otellog.Record
	declined.SetTimestamp(at(423_456_789))
	declined.SetObservedTimestamp(at(423_456_790))
	declined.SetSeverity(otellog.SeverityError)
	declined.SetSeverityText("ERROR")
	declined.SetBody(attribute.StringValue("payment declined"))
	declined.AddAttributes(
		attribute.Float64("amount", 12.5),
		attribute.StringSlice("items", []string{"book"}),
		attribute.ByteSlice("raw", []byte{0, 255}),
		attribute.Map("nested", attribute.Int("depth", 1)),
		tooMany,
	)
	logger.Emit(inParent, declined)
	var emptied otellog.Record
	emptied.SetTimestamp(at(523_456_789))
	emptied.SetSeverity(otellog.SeverityInfo)
	emptied.SetEventName("cart.emptied")
	emptied.SetBody(attribute.MapValue(
		attribute.Int("cart", 7),
		attribute.Int64Slice("ids", []int64{1, 2}),
		attribute.Map("nested", attribute.Bool("ok", true), attribute.Float64("ratio", 0.5), attribute.ByteSlice("raw", []byte{0, 255})),
	))
	logger.Emit(ctx, emptied)

	for _, shutdown := range []func(context.Context) error{tracing.Shutdown, metering.Shutdown, logging.Shutdown} {
		if err := shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
}
