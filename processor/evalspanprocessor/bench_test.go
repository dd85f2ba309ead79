package evalspanprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadatatest"
)

const benchSpans = 200

// benchBatch has ten attributes a span, 1 KB of content on a GenAI span; `genai` of each ten spans
// are GenAI spans.
func benchBatch(genai int) ptrace.Traces {
	td := (&ids{}).batch(benchSpans, false, 20)
	position := 0
	eachPlace(td, func(_ place, span ptrace.Span) {
		for _, key := range []string{"url.path", "user_agent.original", "network.peer.address", "thread.name", "code.function"} {
			span.Attributes().PutStr(key, "some value of usual size")
		}
		if position%10 < genai {
			span.Attributes().PutStr("gen_ai.input.messages", string(make([]byte, 1000)))
		}
		position++
	})
	return td
}

func measure(b *testing.B, which Select, genai, spansCounted int) {
	config := newConfig("127.0.0.1:1", func(c *Config) {
		c.Select = which
		c.ShutdownTimeout = fast
	})
	telemetry := componenttest.NewTelemetry()
	traces, err := NewFactory().CreateTraces(b.Context(), metadatatest.NewSettings(telemetry), config, consumertest.NewNop())
	require.NoError(b, err)
	instance := traces.(*tracesProcessor)
	td := benchBatch(genai)
	b.ReportAllocs()
	for b.Loop() {
		instance.take(b.Context(), td)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spansCounted), "ns/span")
	require.NoError(b, traces.Shutdown(b.Context()))
}

// The cost in the pipeline's own goroutine, without the queue: for each span that is not selected,
// and for each that is.
func BenchmarkUnselected(b *testing.B)      { measure(b, SelectGenAI, 0, benchSpans) }
func BenchmarkUnselectedTrace(b *testing.B) { measure(b, SelectTrace, 0, benchSpans) }
func BenchmarkHalfSelected(b *testing.B)    { measure(b, SelectGenAI, 5, benchSpans/2) }
func BenchmarkAllGenAI(b *testing.B)        { measure(b, SelectGenAI, 10, benchSpans) }
func BenchmarkSelectAll(b *testing.B)       { measure(b, SelectAll, 10, benchSpans) }
