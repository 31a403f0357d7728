// Sends one trace, two metrics and a log record with an unmodified SDK; prints the trace id.
// The protocol is the first argument: grpc or http/protobuf; the endpoint, host:port, the second.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
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
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func exporters(ctx context.Context, protocol, endpoint string) (sdktrace.SpanExporter, sdkmetric.Exporter, sdklog.Exporter) {
	if protocol == "grpc" {
		traces := must(otlptrace.New(ctx, otlptracegrpc.NewClient(otlptracegrpc.WithInsecure(), otlptracegrpc.WithEndpoint(endpoint))))
		metrics := must(otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithEndpoint(endpoint), otlpmetricgrpc.WithCompressor("gzip")))
		logs := must(otlploggrpc.New(ctx, otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(endpoint)))
		return traces, metrics, logs
	}
	traces := must(otlptrace.New(ctx, otlptracehttp.NewClient(otlptracehttp.WithInsecure(), otlptracehttp.WithEndpoint(endpoint), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))))
	metrics := must(otlpmetrichttp.New(ctx, otlpmetrichttp.WithInsecure(), otlpmetrichttp.WithEndpoint(endpoint)))
	logs := must(otlploghttp.New(ctx, otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(endpoint)))
	return traces, metrics, logs
}

func main() {
	protocol, endpoint := os.Args[1], os.Args[2]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	spans, points, records := exporters(ctx, protocol, endpoint)
	from := resource.NewSchemaless(
		attribute.String("service.name", "go-shop"),
		attribute.String("service.instance.id", "go-"+protocol),
		attribute.Int("host.cpus", 4),
	)

	tracing := sdktrace.NewTracerProvider(sdktrace.WithResource(from), sdktrace.WithSyncer(spans))
	tracer := tracing.Tracer("go-tracer", trace.WithInstrumentationVersion("1.2.3"), trace.WithInstrumentationAttributes(attribute.Bool("scope.attribute", true)))
	start := time.Now()
	inParent, parent := tracer.Start(ctx, "GET /cart", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("text", "für élise"),
		attribute.Int64("whole", -9007199254740993),
		attribute.Float64("fraction", 0.1),
		attribute.Bool("yes", true),
		attribute.StringSlice("texts", []string{"a", "b"}),
		attribute.Float64Slice("fractions", []float64{1, 2.5}),
	))
	parent.AddEvent("cache miss", trace.WithAttributes(attribute.Int("tries", 2)))
	parent.RecordError(errors.New("no such table"))
	_, child := tracer.Start(inParent, "SELECT cart", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(trace.LinkFromContext(inParent)))
	child.SetStatus(codes.Error, "no such table")
	child.End()
	parent.End(trace.WithTimestamp(start.Add(1500 * time.Nanosecond)))

	metering := sdkmetric.NewMeterProvider(sdkmetric.WithResource(from), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(time.Hour))))
	meter := metering.Meter("go-meter")
	must(meter.Int64Counter("go.orders", metric.WithUnit("{order}"))).Add(inParent, 3, metric.WithAttributes(attribute.String("region", "eu")))
	must(meter.Float64Histogram("go.latency", metric.WithUnit("s"))).Record(inParent, 0.25)

	logging := sdklog.NewLoggerProvider(sdklog.WithResource(from), sdklog.WithProcessor(sdklog.NewSimpleProcessor(records)))
	var record otellog.Record
	record.SetTimestamp(start)
	record.SetSeverity(otellog.SeverityError)
	record.SetSeverityText("ERROR")
	record.SetBody(attribute.MapValue(attribute.Int64("cart", 7), attribute.ByteSlice("raw", []byte{0, 255})))
	record.AddAttributes(attribute.Float64("amount", 12.5))
	logging.Logger("go-logger").Emit(inParent, record)

	for _, shutdown := range []func(context.Context) error{tracing.Shutdown, metering.Shutdown, logging.Shutdown} {
		if err := shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(parent.SpanContext().TraceID())
}
