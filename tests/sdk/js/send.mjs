// Sends one trace, five metrics and two log records with an unmodified SDK.
// node send.mjs PROTOCOL ENDPOINT SERVICE TRACE_ID START_S, PROTOCOL being grpc, http/protobuf or http/json.
import { SpanKind, SpanStatusCode, TraceFlags, context, createTraceState, trace } from '@opentelemetry/api';
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
import { AggregationType, MeterProvider, PeriodicExportingMetricReader, createAllowListAttributesProcessor } from '@opentelemetry/sdk-metrics';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

const [protocol, endpoint, service, traceId, startS] = process.argv.slice(2);
const exporters = {
  grpc: [TracesGrpc, MetricsGrpc, LogsGrpc],
  'http/protobuf': [TracesProto, MetricsProto, LogsProto],
  'http/json': [TracesJson, MetricsJson, LogsJson],
}[protocol];
const [Traces, Metrics, Logs] = exporters;
const to = (path) => ({ url: protocol === 'grpc' ? endpoint : `${endpoint}/v1/${path}` });

const schemaUrl = 'https://opentelemetry.io/schemas/1.30.0';
const resource = resourceFromAttributes({ 'service.name': service, 'host.cpus': 4 }, { schemaUrl });
const tracing = new NodeTracerProvider({
  resource,
  spanProcessors: [new SimpleSpanProcessor(new Traces(to('traces')))],
  spanLimits: {
    attributeCountLimit: 8,
    eventCountLimit: 1,
    linkCountLimit: 1,
    attributePerEventCountLimit: 2,
    attributePerLinkCountLimit: 1,
  },
});
const tracer = tracing.getTracer('tracer', '1.2.3', { schemaUrl });
const at = (nanoseconds) => [Number(startS) + Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];
const remote = {
  traceId,
  spanId: 'a1b2c3d4e5f60718',
  traceFlags: TraceFlags.SAMPLED,
  isRemote: true,
  traceState: createTraceState('vendor=1'),
};
const linked = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: TraceFlags.SAMPLED,
  traceState: createTraceState('other=2'),
};
const parent = tracer.startSpan(
  'GET /cart',
  {
    kind: SpanKind.SERVER,
    startTime: at(123_456_789),
    attributes: {
      text: 'für élise',
      whole: 9007199254740991,
      fraction: 0.1,
      yes: true,
      texts: ['a', 'b'],
      wholes: [1, 2, 3],
      answers: [true, false],
      none: [],
      'one too many': 1,
    },
    links: [
      { context: { ...linked, traceId: 'ffffffffffffffffffffffffffffffff' } },
      { context: linked, attributes: { why: 'cause', 'one too many': 1 } },
    ],
  },
  trace.setSpanContext(context.active(), remote),
);
parent.addEvent('one too many', {}, at(200_000_000));
parent.addEvent('cache miss', { key: 'cart:7', tries: 2, 'one too many': 1 }, at(223_456_789));
const child = tracer.startSpan(
  'SELECT cart',
  { kind: SpanKind.CLIENT, startTime: at(123_456_789) },
  trace.setSpan(context.active(), parent),
);
child.setStatus({ code: SpanStatusCode.ERROR, message: 'no such table' });
child.end(at(323_456_789));
parent.setStatus({ code: SpanStatusCode.OK });
parent.end(at(1_123_456_790));

const reader = new PeriodicExportingMetricReader({ exporter: new Metrics(to('metrics')), exportIntervalMillis: 1_000_000 });
const metering = new MeterProvider({
  resource,
  readers: [reader],
  views: [
    { instrumentName: 'orders', attributesProcessors: [createAllowListAttributesProcessor(['region'])] },
    {
      instrumentName: 'size',
      aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 4, recordMinMax: true } },
    },
  ],
});
const meter = metering.getMeter('meter', '4.5', { schemaUrl });
meter.createCounter('orders', { unit: '{order}', description: 'Orders placed.' }).add(3, { region: 'eu', customer: 'ann' });
meter.createUpDownCounter('carts').add(-2);
meter.createObservableGauge('temperature', { unit: 'Cel' }).addCallback((result) => result.observe(21.5, { room: 'kitchen' }));
const explicit = meter.createHistogram('latency', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1] } });
const exponential = meter.createHistogram('size', { unit: 'By' });
for (const value of [0.0625, 0.5, 4]) {
  explicit.record(value);
  exponential.record(value);
}

const logging = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: new Logs(to('logs')) })] });
const logger = logging.getLogger('logger', '0.1', { schemaUrl });
logger.emit({
  timestamp: at(423_456_789),
  observedTimestamp: at(423_456_790),
  severityNumber: SeverityNumber.ERROR,
  severityText: 'ERROR',
  body: 'payment declined',
  attributes: { amount: 12.5, items: ['book'], raw: new Uint8Array([0, 255]), nested: { depth: 1 } },
  context: trace.setSpan(context.active(), parent),
});
logger.emit({
  timestamp: at(523_456_789),
  severityNumber: SeverityNumber.INFO,
  eventName: 'cart.emptied',
  body: { cart: 7, ids: [1, 2], nested: { ok: true, ratio: 0.5, raw: new Uint8Array([0, 255]) } },
});

await Promise.all([tracing.shutdown(), metering.shutdown(), logging.shutdown()]);
