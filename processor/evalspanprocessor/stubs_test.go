package evalspanprocessor

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadatatest"
)

const patience = 20 * time.Second

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

// sidecar is a stub of the sidecar: it keeps what it was sent and answers as it is told.
type sidecar struct {
	ptraceotlp.UnimplementedGRPCServer
	address string

	mu       sync.Mutex
	calls    int
	largest  int                    // bytes of the largest request
	copies   map[pcommon.SpanID]int // how often each span arrived, refused calls included
	accepted map[pcommon.SpanID]int
	answer   func(ctx context.Context, call int) error
	rejects  int64
}

// startSidecar serves on address until the test ends; "" takes a free port.
func startSidecar(t *testing.T, address string, options ...grpc.ServerOption) *sidecar {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	stub := &sidecar{
		address:  listener.Addr().String(),
		copies:   map[pcommon.SpanID]int{},
		accepted: map[pcommon.SpanID]int{},
		answer:   func(context.Context, int) error { return nil },
	}
	server := grpc.NewServer(options...)
	ptraceotlp.RegisterGRPCServer(server, stub)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return stub
}

func (s *sidecar) Export(ctx context.Context, in ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	out := ptraceotlp.NewExportResponse()
	size := (&ptrace.ProtoMarshaler{}).TracesSize(in.Traces())
	s.mu.Lock()
	s.calls++
	call, answer := s.calls, s.answer
	s.largest = max(s.largest, size)
	eachPlace(in.Traces(), func(_ place, span ptrace.Span) { s.copies[span.SpanID()]++ })
	s.mu.Unlock()
	if err := answer(ctx, call); err != nil {
		return out, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	eachPlace(in.Traces(), func(_ place, span ptrace.Span) { s.accepted[span.SpanID()]++ })
	out.PartialSuccess().SetRejectedSpans(s.rejects)
	return out, nil
}

func (s *sidecar) counts() (calls, distinctAccepted, duplicates int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.accepted {
		duplicates += times - 1
	}
	return s.calls, len(s.accepted), duplicates
}

func (s *sidecar) distinct() int {
	_, distinct, _ := s.counts()
	return distinct
}

func (s *sidecar) called() int {
	calls, _, _ := s.counts()
	return calls
}

func (s *sidecar) set(answer func(ctx context.Context, call int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// hang answers a call only when its caller gives up.
func hang(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// deadAddress is one where nobody listens.
func deadAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// host has the extensions that a test gives it.
type host struct {
	extensions map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// newConfig is the default with short times, for a sidecar at that address.
func newConfig(address string, changes ...func(*Config)) *Config {
	config := createDefaultConfig().(*Config)
	config.ClientConfig.Endpoint = address
	config.ClientConfig.TLS.Insecure = true
	config.RetryConfig.InitialInterval = 20 * time.Millisecond
	config.RetryConfig.MaxInterval = 50 * time.Millisecond
	config.QueueConfig.Get().Batch.Get().FlushTimeout = 10 * time.Millisecond
	for _, change := range changes {
		change(config)
	}
	return config
}

func withQueue(change func(*exporterhelper.QueueBatchConfig)) func(*Config) {
	return func(config *Config) { change(config.QueueConfig.Get()) }
}

func withoutBatch(config *Config) {
	config.QueueConfig.Get().Batch = configoptional.None[exporterhelper.BatchConfig]()
}

// running is a processor with its telemetry and what it passed on.
type running struct {
	processor.Traces
	telemetry *componenttest.Telemetry
}

func start(t *testing.T, config *Config, next consumer.Traces, extensions map[component.ID]component.Component) *running {
	t.Helper()
	require.NoError(t, config.Validate())
	telemetry := componenttest.NewTelemetry()
	traces, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(telemetry), config, next)
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), host{extensions}))
	t.Cleanup(func() {
		require.NoError(t, traces.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return &running{Traces: traces, telemetry: telemetry}
}

// counter sums a counter over its attributes, or over those with one value of `reason`. A metric
// that was never counted is 0.
func (r *running) counter(name string, reasons ...reason) int {
	got, err := r.telemetry.GetMetric("otelcol_" + name)
	if err != nil {
		return 0
	}
	sum := 0
	for _, point := range got.Data.(metricdata.Sum[int64]).DataPoints {
		why, _ := point.Attributes.Value("reason")
		if len(reasons) == 0 || why.AsString() == string(reasons[0]) {
			sum += int(point.Value)
		}
	}
	return sum
}

func (r *running) notQueued(reasons ...reason) int {
	return r.counter("processor_evalspan_not_queued_spans", reasons...)
}

// ids makes span and trace ids that no other batch of the test has.
type ids struct{ last uint64 }

func (i *ids) next() uint64 { i.last++; return i.last }

func spanID(number uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], number)
	return id
}

func traceID(number uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], number)
	return id
}

// addSpan appends a span of the trace, about `padding` bytes large, with GenAI attributes or not.
func addSpan(spans ptrace.SpanSlice, id, trace uint64, genai bool, padding int) ptrace.Span {
	span := spans.AppendEmpty()
	span.SetSpanID(spanID(id))
	span.SetTraceID(traceID(trace))
	span.SetName("chat model")
	span.SetStartTimestamp(1_700_000_000_000_000_000)
	span.SetEndTimestamp(1_700_000_001_000_000_000)
	span.Attributes().PutStr("http.request.method", "POST")
	span.Attributes().PutInt("http.response.status_code", 200)
	span.Attributes().PutStr("server.address", "model.example")
	if genai {
		span.Attributes().PutStr("gen_ai.operation.name", "chat")
	}
	span.Attributes().PutStr("padding", string(make([]byte, padding)))
	return span
}

// batch is n spans, each a trace of its own, under one resource and scope.
func (i *ids) batch(n int, genai bool, padding int) ptrace.Traces {
	td := ptrace.NewTraces()
	resource := td.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	resource.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("shop.web")
	for range n {
		id := i.next()
		addSpan(scope.Spans(), id, id, genai, padding)
	}
	return td
}
