package evalspanprocessor

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func decode(t *testing.T, data []byte) ptrace.Traces {
	t.Helper()
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	return td
}

// random has spans of very different sizes under several resources and scopes.
func random(source *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	made := &ids{}
	for range 1 + source.IntN(4) {
		resource := td.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", string(make([]byte, source.IntN(300))))
		for range 1 + source.IntN(3) {
			scope := resource.ScopeSpans().AppendEmpty()
			scope.Scope().SetName("scope")
			for range source.IntN(8) {
				id := made.next()
				addSpan(scope.Spans(), id, id, true, source.IntN(2000))
			}
		}
	}
	return td
}

func TestRequestsHoldEverySpanOnceAndKeepToTheLimit(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		td := random(source)
		before := bytesOf(td)
		spans := td.SpanCount()
		if spans == 0 {
			continue
		}
		limit := 200 + source.IntN(6000)
		var together []byte
		counted := 0
		for _, part := range marshal(td, spans, limit) {
			assert.Equal(t, part.spans, countSpans(part.data))
			if part.spans > 1 {
				assert.LessOrEqual(t, len(part.data), limit)
			}
			counted += part.spans
			together = append(together, part.data...)
		}
		assert.Equal(t, spans, counted)
		assert.Equal(t, idsOf(td), idsOf(decode(t, together)), "requests one after the other are one request")
		assert.Equal(t, before, bytesOf(td), "the batch was changed")
	}
}

func TestASpanLargerThanTheLimitGoesAlone(t *testing.T) {
	made := &ids{}
	td := made.batch(1, true, 10)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	addSpan(spans, 2, 2, true, 50_000)
	addSpan(spans, 3, 3, true, 10)
	parts := marshal(td, 3, 1000)
	require.Len(t, parts, 3)
	assert.Greater(t, len(parts[1].data), 50_000)
	assert.Equal(t, []pcommon.SpanID{spanID(2)}, idsOf(decode(t, parts[1].data)))
}

func TestSplitKeepsResourceAndScope(t *testing.T) {
	for _, part := range split(mixed(), 1) {
		require.Equal(t, 1, part.SpanCount())
		resource := part.ResourceSpans().At(0)
		assert.Equal(t, "resource schema", resource.SchemaUrl())
		assert.Equal(t, 1, resource.Resource().Attributes().Len())
		assert.Equal(t, "scope schema", resource.ScopeSpans().At(0).SchemaUrl())
		assert.Equal(t, 1, resource.ScopeSpans().At(0).Scope().Attributes().Len())
	}
}

func TestCountSpansOfBrokenBytesStops(t *testing.T) {
	data := bytesOf(mixed())
	for cut := range data {
		assert.LessOrEqual(t, countSpans(data[:cut]), 8)
	}
	assert.Zero(t, countSpans([]byte{0xff, 0xff, 0xff}))
}

func queued(data string, spans int) *queuedRequest {
	return &queuedRequest{request: &request{data: []byte(data), spans: spans}}
}

func TestMergeJoinsBytesUpToTheLimitAndKeepsTheOrder(t *testing.T) {
	merge := func(maxSize int, first, second xexporterhelper.Request) []xexporterhelper.Request {
		merged, err := first.MergeSplit(context.Background(), maxSize, exporterhelper.RequestSizerTypeBytes, second)
		require.NoError(t, err)
		return merged
	}
	assert.Equal(t, []xexporterhelper.Request{queued("abcde", 3)}, merge(5, queued("ab", 1), queued("cde", 2)))
	assert.Equal(t, []xexporterhelper.Request{queued("abcde", 3)}, merge(0, queued("ab", 1), queued("cde", 2)))
	assert.Equal(t, []xexporterhelper.Request{queued("ab", 1), queued("cde", 2)}, merge(4, queued("ab", 1), queued("cde", 2)))
	assert.Equal(t, []xexporterhelper.Request{queued("ab", 1)}, merge(1, queued("ab", 1), nil))
}

func TestStoredRequestIsPlainOTLP(t *testing.T) {
	original := &queuedRequest{request: &request{data: bytesOf(mixed()), spans: 8}}
	data, err := encoding{}.Marshal(context.Background(), original)
	require.NoError(t, err)
	assert.Equal(t, 8, decode(t, data).SpanCount())
	_, restored, err := encoding{}.Unmarshal(data)
	require.NoError(t, err)
	assert.Equal(t, original, restored)
}
