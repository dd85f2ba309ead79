package evalspanprocessor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Real requests of real instrumentations: every span in them is one for the sidecar.
func TestEveryCapturedSpanIsSelected(t *testing.T) {
	files, err := filepath.Glob("../../tests/golden/captures/*/*.binpb")
	require.NoError(t, err)
	spans := 0
	for _, file := range files {
		if strings.Contains(file, ".logs.") || strings.Contains(file, ".metrics.") {
			continue
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		td := decode(t, data)
		for _, resource := range td.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					spans++
					assert.True(t, isGenAIScope(scope.Scope().Name()) || hasGenAIKey(span.Attributes()),
						"%s: scope %q, span %q", file, scope.Scope().Name(), span.Name())
				}
			}
		}
		assertBytesSurvive(t, td)
	}
	assert.Greater(t, spans, 100)
}

// assertBytesSurvive takes a batch the way of the queue, cut small, and compares what comes out.
func assertBytesSurvive(t *testing.T, td ptrace.Traces) {
	t.Helper()
	var data []byte
	for _, part := range marshal(td, td.SpanCount(), 1000) {
		data = append(data, part.data...)
	}
	var want, got []string
	collect := func(into *[]string) func(place, ptrace.Span) {
		return func(_ place, span ptrace.Span) {
			single := ptrace.NewTraces()
			span.CopyTo(single.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
			*into = append(*into, string(bytesOf(single)))
		}
	}
	eachPlace(td, collect(&want))
	eachPlace(decode(t, data), collect(&got))
	assert.Equal(t, want, got)
}
