package evalspanprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// What the pipeline sees: its own spans, at once, whatever becomes of the copies.

func TestBackendGetsTheSameBytesWithAndWithoutTheProcessor(t *testing.T) {
	stub := startSidecar(t, "")
	for _, which := range []Select{SelectGenAI, SelectTrace, SelectAll} {
		backend := new(consumertest.TracesSink)
		running := start(t, newConfig(stub.address, func(c *Config) { c.Select = which }), backend, nil)
		require.NoError(t, running.ConsumeTraces(t.Context(), mixed()))
		require.Len(t, backend.AllTraces(), 1)
		assert.Equal(t, bytesOf(mixed()), bytesOf(backend.AllTraces()[0]), which)
	}
}

func TestReadOnlyInputIsFine(t *testing.T) {
	stub := startSidecar(t, "")
	running := start(t, newConfig(stub.address), new(consumertest.TracesSink), nil)
	assert.False(t, running.Capabilities().MutatesData)
	td := mixed()
	td.MarkReadOnly()
	require.NoError(t, running.ConsumeTraces(t.Context(), td))
	eventually(t, func() bool { return stub.distinct() == 4 }, "the GenAI spans arrive")
}

// Failure 2: a component downstream changes and moves the spans while the copies are being sent.
// Meant for the race detector.
func TestMutatingNextDoesNotReachTheCopies(t *testing.T) {
	stub := startSidecar(t, "")
	wreck, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
		eachPlace(td, func(_ place, span ptrace.Span) {
			span.SetSpanID(pcommon.SpanID{0xff})
			span.Attributes().Clear()
			span.SetName("wrecked")
		})
		td.ResourceSpans().MoveAndAppendTo(ptrace.NewTraces().ResourceSpans())
		return nil
	}, consumer.WithCapabilities(consumer.Capabilities{MutatesData: true}))
	require.NoError(t, err)
	for _, which := range []Select{SelectGenAI, SelectAll} {
		running := start(t, newConfig(stub.address, func(c *Config) { c.Select = which }), wreck, nil)
		made := &ids{last: uint64(len(which)) * 1_000_000}
		var batches []ptrace.Traces
		for range 40 {
			td := made.batch(25, true, 100)
			made.next()
			addSpan(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), made.last, 1, which == SelectAll, 0)
			batches = append(batches, td)
		}
		before := stub.distinct()
		expected := 40 * 25
		if which == SelectAll {
			expected = 40 * 26
		}
		var senders sync.WaitGroup
		for _, part := range [][]ptrace.Traces{batches[:20], batches[20:]} {
			senders.Go(func() {
				for _, td := range part {
					assert.NoError(t, running.ConsumeTraces(context.Background(), td))
				}
			})
		}
		senders.Wait()
		eventually(t, func() bool { return stub.distinct() == before+expected }, "every copy arrives as it was")
		assert.Equal(t, expected, running.counter("processor_evalspan_selected_spans"))
		assert.Equal(t, 40*26, running.counter("processor_evalspan_received_spans"))
		assert.Zero(t, running.notQueued())
	}
}

func TestARefusedBatchIsNotOfferedBecauseItComesAgain(t *testing.T) {
	stub := startSidecar(t, "")
	refusal := errors.New("backend queue is full")
	refuse := true
	next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error {
		if refuse {
			return refusal
		}
		return nil
	})
	require.NoError(t, err)
	running := start(t, newConfig(stub.address), next, nil)
	made := &ids{}
	td := made.batch(10, true, 0)
	require.Equal(t, refusal, running.ConsumeTraces(t.Context(), td), "the pipeline's own error, unchanged")
	assert.Equal(t, 10, running.notQueued(reasonPipelineRefused))
	refuse = false
	require.NoError(t, running.ConsumeTraces(t.Context(), td))
	eventually(t, func() bool { return stub.distinct() == 10 }, "the second try arrives")
	_, _, duplicates := stub.counts()
	assert.Zero(t, duplicates)
}

// Failure 8 in the processor: a sidecar that is down and a full queue are no errors to the app, the
// backend has everything, and the counters add up.
func TestFullQueueDoesNotDisturbThePipeline(t *testing.T) {
	backend := new(consumertest.TracesSink)
	config := newConfig(deadAddress(t), withQueue(func(queue *exporterhelper.QueueBatchConfig) {
		queue.QueueSize = 1 << 20
	}))
	running := start(t, config, backend, nil)
	made := &ids{}
	accepted := 0
	for range 200 {
		td := made.batch(100, true, 500)
		require.NoError(t, running.ConsumeTraces(t.Context(), td))
	}
	assert.Equal(t, 20_000, backend.SpanCount())
	lost := running.notQueued()
	accepted = 20_000 - lost
	assert.Equal(t, 20_000, running.counter("processor_evalspan_selected_spans"))
	assert.Equal(t, lost, running.notQueued(reasonQueueFull))
	assert.Equal(t, lost, running.counter("exporter_enqueue_failed_spans"))
	oneBatch := len(bytesOf(made.batch(100, true, 500)))
	assert.Equal(t, (1<<20)/oneBatch*100, accepted, "as many batches as fit into 1 MiB")
}

func TestHungSidecarDoesNotDisturbThePipeline(t *testing.T) {
	stub := startSidecar(t, "")
	stub.set(hang)
	backend := new(consumertest.TracesSink)
	config := newConfig(stub.address, func(c *Config) { c.ShutdownTimeout = fast })
	running := start(t, config, backend, nil)
	made := &ids{}
	for range 100 {
		require.NoError(t, running.ConsumeTraces(t.Context(), made.batch(10, true, 100)))
	}
	assert.Equal(t, 1000, backend.SpanCount())
	assert.Zero(t, running.notQueued())
}

func TestEveryCounterIsThereFromTheStart(t *testing.T) {
	running := start(t, newConfig(deadAddress(t)), consumertest.NewNop(), nil)
	for _, name := range []string{"received_spans", "selected_spans", "rejected_spans", "trace_ids_evicted"} {
		got, err := running.telemetry.GetMetric("otelcol_processor_evalspan_" + name)
		require.NoError(t, err)
		assert.Len(t, got.Data.(metricdata.Sum[int64]).DataPoints, 1)
	}
	got, err := running.telemetry.GetMetric("otelcol_processor_evalspan_not_queued_spans")
	require.NoError(t, err)
	assert.Len(t, got.Data.(metricdata.Sum[int64]).DataPoints, 5, "one for each reason")
}

func TestASpanLargerThanTheQueueIsCounted(t *testing.T) {
	backend := new(consumertest.TracesSink)
	config := newConfig(deadAddress(t), withQueue(func(queue *exporterhelper.QueueBatchConfig) {
		queue.QueueSize = 1 << 20
	}))
	running := start(t, config, backend, nil)
	require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(1, true, 2<<20)))
	assert.Equal(t, 1, running.notQueued(reasonTooLarge))
	assert.Equal(t, 1, backend.SpanCount())
}

func TestUnselectedSpansCostNoAllocation(t *testing.T) {
	if underRaceDetector {
		t.Skip("allocations are counted without the race detector")
	}
	for _, which := range []Select{SelectGenAI, SelectTrace} {
		running := start(t, newConfig(deadAddress(t), func(c *Config) { c.Select = which }), consumertest.NewNop(), nil)
		td := (&ids{}).batch(100, false, 50)
		ctx := t.Context()
		allocations := testing.AllocsPerRun(200, func() {
			if err := running.ConsumeTraces(ctx, td); err != nil {
				t.Fatal(err)
			}
		})
		assert.Zero(t, allocations, which)
	}
}

func TestNothingIsPassedOnAfterShutdown(t *testing.T) {
	processortest.VerifyShutdown(t, NewFactory(), newConfig(startSidecar(t, "").address))
}
