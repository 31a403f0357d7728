// Sends one trace, five metrics and two log records with an unmodified SDK; prints the trace id.
// node send.mjs PROTOCOL ENDPOINT, PROTOCOL being grpc, http/protobuf or http/json.
import { SpanKind, SpanStatusCode, TraceFlags, context, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as LogsGrpc } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as LogsJson } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as LogsProto } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter as MetricsGrpc } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as MetricsJson } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as MetricsProto } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter as TracesGrpc } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as TracesJson } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as TracesProto } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

const [protocol, endpoint] = process.argv.slice(2);
const exporters = {
  grpc: [TracesGrpc, MetricsGrpc, LogsGrpc],
  'http/protobuf': [TracesProto, MetricsProto, LogsProto],
  'http/json': [TracesJson, MetricsJson, LogsJson],
}[protocol];
const [Traces, Metrics, Logs] = exporters;
const to = (path) => ({ url: protocol === 'grpc' ? endpoint : `${endpoint}/v1/${path}` });

const resource = resourceFromAttributes({
  'service.name': 'js-shop',
  'service.instance.id': `js-${protocol}`,
  'host.cpus': 4,
});
const tracing = new NodeTracerProvider({
  resource,
  spanProcessors: [new SimpleSpanProcessor(new Traces(to('traces')))],
});
const tracer = tracing.getTracer('js-tracer', '1.2.3', { schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' });
const now = Math.floor(Date.now() / 1000);
const start = [now, 123_456_789];
const linked = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED };
const parent = tracer.startSpan('GET /cart', {
  kind: SpanKind.SERVER,
  startTime: start,
  attributes: {
    text: 'für élise',
    whole: 42,
    fraction: 0.1,
    yes: true,
    texts: ['a', 'b'],
    wholes: [1, 2, 3],
    none: [],
  },
  links: [{ context: linked, attributes: { why: 'cause' } }],
});
parent.addEvent('cache miss', { key: 'cart:7', tries: 2 }, [now, 223_456_789]);
const child = tracer.startSpan('SELECT cart', { kind: SpanKind.CLIENT, startTime: start }, trace.setSpan(context.active(), parent));
child.setStatus({ code: SpanStatusCode.ERROR, message: 'no such table' });
child.end([now, 323_456_789]);
parent.setStatus({ code: SpanStatusCode.OK });
parent.end([now + 1, 123_456_790]);

const reader = new PeriodicExportingMetricReader({ exporter: new Metrics(to('metrics')), exportIntervalMillis: 1_000_000 });
const metering = new MeterProvider({
  resource,
  readers: [reader],
  views: [{ instrumentName: 'js.exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = metering.getMeter('js-meter', '4.5');
meter.createCounter('js.orders', { unit: '{order}', description: 'Orders placed.' }).add(3, { region: 'eu' });
meter.createUpDownCounter('js.carts').add(-2);
meter.createObservableGauge('js.temperature', { unit: 'Cel' }).addCallback((result) => result.observe(21.5, { room: 'kitchen' }));
const explicit = meter.createHistogram('js.latency', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1] } });
const exponential = meter.createHistogram('js.exponential', { unit: 's' });
for (const value of [0.05, 0.5, 5]) {
  explicit.record(value);
  exponential.record(value);
}

const logging = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: new Logs(to('logs')) })] });
const logger = logging.getLogger('js-logger');
logger.emit({
  timestamp: start,
  severityNumber: SeverityNumber.ERROR,
  severityText: 'ERROR',
  body: 'payment declined',
  attributes: { amount: 12.5, items: ['book'] },
  context: trace.setSpan(context.active(), parent),
});
logger.emit({ timestamp: start, severityNumber: SeverityNumber.INFO, eventName: 'cart.emptied', body: { cart: 7, ids: [1, 2], nested: { ok: true } } });

await tracing.forceFlush();
await metering.forceFlush();
await logging.forceFlush();
await Promise.all([tracing.shutdown(), metering.shutdown(), logging.shutdown()]);
console.log(parent.spanContext().traceId);
