package evalspanprocessor

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What becomes of the copies: which answers of the sidecar keep them, and which lose them.

const fast = 50 * time.Millisecond

func failing(err error, calls int) func(context.Context, int) error {
	return func(_ context.Context, call int) error {
		if call <= calls {
			return err
		}
		return nil
	}
}

func exhausted(t *testing.T, delay time.Duration) error {
	t.Helper()
	answer, err := status.New(codes.ResourceExhausted, "log is full").
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	require.NoError(t, err)
	return answer.Err()
}

func TestCopiesSurviveAnswersThatAskForAnotherTry(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable":                         status.Error(codes.Unavailable, "starting"),
		"aborted":                             status.Error(codes.Aborted, "again"),
		"exhausted with RetryInfo":            exhausted(t, 30*time.Millisecond),
		"exhausted with RetryInfo of no time": exhausted(t, 0),
	} {
		t.Run(name, func(t *testing.T) {
			stub := startSidecar(t, "")
			stub.set(failing(err, 3))
			running := start(t, newConfig(stub.address), consumertest.NewNop(), nil)
			require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(20, true, 0)))
			eventually(t, func() bool { return stub.distinct() == 20 }, "the fourth call is taken")
			_, _, duplicates := stub.counts()
			assert.Zero(t, duplicates)
			assert.Zero(t, running.counter("exporter_send_failed_spans"))
		})
	}
}

// Failures 4 and 5: these answers mean "never send it again". The sidecar must not give them for
// what is only its own trouble.
func TestCopiesAreLostAndCountedOnAnswersThatForbidAnotherTry(t *testing.T) {
	for name, err := range map[string]error{
		"an exception in the servicer": status.Error(codes.Unknown, "Exception calling application"),
		"exhausted without RetryInfo":  status.Error(codes.ResourceExhausted, "log is full"),
		"invalid":                      status.Error(codes.InvalidArgument, "no OTLP"),
	} {
		t.Run(name, func(t *testing.T) {
			stub := startSidecar(t, "")
			stub.set(failing(err, 1))
			running := start(t, newConfig(stub.address), consumertest.NewNop(), nil)
			require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(20, true, 0)))
			eventually(t, func() bool { return running.counter("exporter_send_failed_spans") == 20 }, "counted")
			calls, distinct, _ := stub.counts()
			assert.Equal(t, 1, calls)
			assert.Zero(t, distinct)
		})
	}
}

func TestRetryDelayOfTheSidecarIsKept(t *testing.T) {
	stub := startSidecar(t, "")
	var first, second time.Time
	refusal := exhausted(t, 300*time.Millisecond)
	stub.set(func(_ context.Context, call int) error {
		if call == 1 {
			first = time.Now()
			return refusal
		}
		second = time.Now()
		return nil
	})
	running := start(t, newConfig(stub.address), consumertest.NewNop(), nil)
	require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(1, true, 0)))
	eventually(t, func() bool { return stub.distinct() == 1 }, "the second call is taken")
	assert.GreaterOrEqual(t, second.Sub(first), 300*time.Millisecond)
}

// Failure 6: a server with gRPC's usual limit of 4 MiB answers RESOURCE_EXHAUSTED without RetryInfo
// to anything larger. Batches stay below; only a span that is larger by itself is lost, alone.
func TestBatchesStayBelowTheMessageLimit(t *testing.T) {
	stub := startSidecar(t, "", grpc.MaxRecvMsgSize(4<<20))
	config := newConfig(stub.address, withQueue(func(queue *exporterhelper.QueueBatchConfig) {
		queue.Batch.Get().MaxSize = 4<<20 - 1024
	}))
	running := start(t, config, consumertest.NewNop(), nil)
	made := &ids{}
	for range 3 {
		require.NoError(t, running.ConsumeTraces(t.Context(), made.batch(6000, true, 900)))
	}
	eventually(t, func() bool { return stub.distinct() == 18_000 }, "every span arrives")
	assert.LessOrEqual(t, stub.largest, 4<<20-1024)

	td := made.batch(5, true, 0)
	addSpan(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), 1_000_000, 1, true, 5<<20)
	require.NoError(t, running.ConsumeTraces(t.Context(), td))
	eventually(t, func() bool { return stub.distinct() == 18_005 }, "its neighbours arrive")
	eventually(t, func() bool { return running.counter("exporter_send_failed_spans") == 1 }, "it is counted")
}

func TestSmallBatchesAreSentTogether(t *testing.T) {
	stub := startSidecar(t, "")
	config := newConfig(stub.address, withQueue(func(queue *exporterhelper.QueueBatchConfig) {
		queue.Batch.Get().FlushTimeout = time.Minute
		queue.Batch.Get().MinSize = 100_000
	}))
	running := start(t, config, consumertest.NewNop(), nil)
	made := &ids{}
	size := 0
	for size < 100_000 {
		td := made.batch(5, true, 500)
		size += len(bytesOf(td))
		require.NoError(t, running.ConsumeTraces(t.Context(), td))
	}
	eventually(t, func() bool { return stub.distinct() == int(made.last) }, "all arrive")
	assert.Equal(t, 1, stub.called())
	eventually(t, func() bool { return running.counter("exporter_sent_spans") == int(made.last) }, "counted")
}

// Failure 7: the sidecar does the work and answers after the client's timeout. The request comes
// again: delivery is at least once.
func TestAnAnswerTooLateMakesTheRequestComeAgain(t *testing.T) {
	stub := startSidecar(t, "")
	cameAgain := make(chan struct{})
	stub.set(func(_ context.Context, call int) error {
		switch call {
		case 1:
			<-cameAgain // the client has given up
		case 2:
			close(cameAgain)
		}
		return nil
	})
	config := newConfig(stub.address, func(c *Config) { c.TimeoutConfig.Timeout = 300 * time.Millisecond })
	running := start(t, config, consumertest.NewNop(), nil)
	require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(20, true, 0)))
	eventually(t, func() bool {
		_, distinct, duplicates := stub.counts()
		return distinct == 20 && duplicates >= 20
	}, "every span arrives more than once")
	eventually(t, func() bool { return running.counter("exporter_sent_spans") == 20 }, "and counts once here")
}

func TestRejectedSpansOfAPartialSuccessAreCounted(t *testing.T) {
	stub := startSidecar(t, "")
	stub.rejects = 3
	running := start(t, newConfig(stub.address), consumertest.NewNop(), nil)
	require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(20, true, 0)))
	eventually(t, func() bool { return running.counter("processor_evalspan_rejected_spans") == 3 }, "counted")
	assert.Equal(t, 1, stub.called())
}

func TestCopiesWaitForASidecarThatStartsLater(t *testing.T) {
	address := deadAddress(t)
	running := start(t, newConfig(address), consumertest.NewNop(), nil)
	made := &ids{}
	for range 10 {
		require.NoError(t, running.ConsumeTraces(t.Context(), made.batch(20, true, 0)))
	}
	stub := startSidecar(t, address)
	eventually(t, func() bool { return stub.distinct() == 200 }, "all arrive")
}

// Failure 3: a memory queue full of requests for a sidecar that hangs. The Collector stops the
// processors before the exporters, so the user's own exporters wait for us.
func TestShutdownWithAHungSidecarIsBounded(t *testing.T) {
	stub := startSidecar(t, "")
	stub.set(hang)
	config := newConfig(stub.address, withoutBatch, func(c *Config) { c.ShutdownTimeout = 500 * time.Millisecond })
	telemetry, traces := unmanaged(t, config, nil)
	made := &ids{}
	for range 200 {
		require.NoError(t, traces.ConsumeTraces(t.Context(), made.batch(10, true, 0)))
	}
	eventually(t, func() bool { return stub.called() == 4 }, "all consumers are stuck")
	begun := time.Now()
	require.NoError(t, traces.Shutdown(context.Background()))
	assert.Less(t, time.Since(begun), 500*time.Millisecond+time.Second)
	lost := (&running{telemetry: telemetry}).counter("exporter_send_failed_spans")
	assert.Equal(t, 2000, lost, "what was queued is counted as lost")
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

func TestShutdownDrainsTheQueueToAHealthySidecar(t *testing.T) {
	stub := startSidecar(t, "")
	config := newConfig(stub.address, withQueue(func(queue *exporterhelper.QueueBatchConfig) {
		queue.Batch.Get().FlushTimeout = time.Minute
	}))
	telemetry, traces := unmanaged(t, config, nil)
	require.NoError(t, traces.ConsumeTraces(t.Context(), (&ids{}).batch(20, true, 0)))
	require.NoError(t, traces.Shutdown(context.Background()))
	assert.Equal(t, 20, stub.distinct())
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

// Failure 12: what waits for the sidecar costs its own bytes and little more.
func TestHeapOfAFullQueueIsItsBytes(t *testing.T) {
	const queueBytes = 32 << 20
	config := newConfig(deadAddress(t), func(c *Config) { c.ShutdownTimeout = fast },
		withQueue(func(queue *exporterhelper.QueueBatchConfig) { queue.QueueSize = queueBytes }))
	running := start(t, config, consumertest.NewNop(), nil)
	made := &ids{}
	before := heap()
	for running.notQueued() == 0 {
		require.NoError(t, running.ConsumeTraces(t.Context(), made.batch(200, true, 1000)))
	}
	ratio := float64(heap()-before) / queueBytes
	t.Logf("heap per queued byte: %.2f", ratio)
	assert.Less(t, ratio, 1.5)
	runtime.KeepAlive(running)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestSpansArriveAsTheyWere(t *testing.T) {
	stub := startSidecar(t, "")
	running := start(t, newConfig(stub.address), consumertest.NewNop(), nil)
	require.NoError(t, running.ConsumeTraces(t.Context(), mixed()))
	eventually(t, func() bool { return stub.distinct() == 4 }, "the GenAI spans")
	stub.mu.Lock()
	defer stub.mu.Unlock()
	for _, id := range []pcommon.SpanID{spanID(2), spanID(4), spanID(6), spanID(8)} {
		assert.Equal(t, 1, stub.accepted[id])
	}
}
