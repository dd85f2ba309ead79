package evalspanprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func idsOf(td ptrace.Traces) []pcommon.SpanID {
	var found []pcommon.SpanID
	eachPlace(td, func(_ place, span ptrace.Span) { found = append(found, span.SpanID()) })
	return found
}

func newSelector(which Select, limit int) (picker *selector, evicted *int) {
	evicted = new(int)
	return &selector{which: which, known: newTraceIDs(limit), onEvicted: func(n int) { *evicted += n }}, evicted
}

func TestWhatIsAGenAISpan(t *testing.T) {
	for _, example := range []struct {
		scope, key string
		genai      bool
	}{
		{"", "gen_ai.provider.name", true},
		{"", "gen_ai.system", true},
		{"", "openinference.span.kind", true},
		{"", "llm.request.type", true},
		{"", "llm.model_name", true},
		{"", "traceloop.span.kind", true},
		{"", "langfuse.observation.type", true},
		{"", "langsmith.span.kind", true},
		{"", "mlflow.spanType", true},
		{"", "ai.operationId", true},
		{"", "tool.name", true},
		{"", "embedding.model_name", true},
		{"", "retrieval.documents.0.document.content", true},
		{"", "reranker.model_name", true},
		{"", "haystack.component.name", true},
		{"", "gcp.vertex.agent.llm_request", true},
		{"pydantic-ai", "agent_name", true},
		{"strands.telemetry.tracer", "event_loop.cycle_id", true},
		{"opentelemetry.instrumentation.genai.openai", "error.type", true},
		{"openinference.instrumentation.crewai", "crew_key", true},
		{"semantic_kernel.connectors.ai.chat_completion_client_base", "sk.available_functions", true},
		{"ai", "operation.name", true},
		{"gen_ai", "operation.name", true},
		{"com.anthropic.sdk.python", "url.full", true},

		{"", "", false},
		{"", "gen_ai", false},
		{"", "gen_airline.code", false},
		{"", "aircraft.id", false},
		{"", "email.address", false},
		{"", "http.request.method", false},
		{"", "db.system.name", false},
		{"", "logfire.msg", false},
		{"", "messaging.system", false},
		{"opentelemetry.instrumentation.httpx", "url.full", false},
		{"airflow", "task.id", false},
		{"io.opentelemetry.jdbc", "db.query.text", false},
	} {
		td := ptrace.NewTraces()
		scope := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		scope.Scope().SetName(example.scope)
		span := scope.Spans().AppendEmpty()
		span.Attributes().PutStr("thread.name", "main")
		span.Attributes().PutStr(example.key, "x")
		picker, _ := newSelector(SelectGenAI, 1)
		_, count := picker.pick(td, 1)
		assert.Equal(t, example.genai, count == 1, "scope %q key %q", example.scope, example.key)
	}
}

// mixed has two resources with two scopes each, two spans a scope; of every pair the second is a
// GenAI span. Trace i holds pair i.
func mixed() ptrace.Traces {
	td := ptrace.NewTraces()
	id := uint64(0)
	for range 2 {
		resource := td.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutInt("resource", int64(id))
		resource.SetSchemaUrl("resource schema")
		for range 2 {
			scope := resource.ScopeSpans().AppendEmpty()
			scope.Scope().SetName("scope")
			scope.Scope().Attributes().PutInt("scope", int64(id))
			scope.SetSchemaUrl("scope schema")
			addSpan(scope.Spans(), id+1, id+1, false, 0)
			addSpan(scope.Spans(), id+2, id+1, true, 0)
			id += 2
		}
	}
	return td
}

func TestGenAIPicksTheSpansUnderTheirResourceAndScope(t *testing.T) {
	picker, _ := newSelector(SelectGenAI, 1)
	td := mixed()
	td.MarkReadOnly()
	picked, count := picker.pick(td, 8)
	assert.Equal(t, 4, count)
	assert.Equal(t, []pcommon.SpanID{spanID(2), spanID(4), spanID(6), spanID(8)}, idsOf(picked))

	// The same batch with the unselected spans removed in place.
	want := mixed()
	for _, resource := range want.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			scope.Spans().RemoveIf(func(span ptrace.Span) bool { return !hasGenAIKey(span.Attributes()) })
		}
	}
	assert.Equal(t, bytesOf(want), bytesOf(picked))
}

func TestResourceWithoutASelectedSpanIsNotCopied(t *testing.T) {
	td := mixed()
	td.ResourceSpans().At(0).ScopeSpans().RemoveIf(func(scope ptrace.ScopeSpans) bool {
		scope.Spans().RemoveIf(func(span ptrace.Span) bool { return hasGenAIKey(span.Attributes()) })
		return false
	})
	picker, _ := newSelector(SelectGenAI, 1)
	picked, count := picker.pick(td, td.SpanCount())
	assert.Equal(t, 2, count)
	assert.Equal(t, 1, picked.ResourceSpans().Len())
}

func TestAllPicksTheBatchItselfWithoutACopy(t *testing.T) {
	picker, _ := newSelector(SelectAll, 1)
	td := mixed()
	picked, count := picker.pick(td, 8)
	assert.Equal(t, 8, count)
	assert.Equal(t, td, picked)
}

func TestEmptyBatchPicksNothing(t *testing.T) {
	for _, which := range []Select{SelectGenAI, SelectTrace, SelectAll} {
		picker, _ := newSelector(which, 1)
		_, count := picker.pick(ptrace.NewTraces(), 0)
		assert.Zero(t, count)
	}
}

func TestTracePicksSiblingsOfTheBatchAndLaterSpans(t *testing.T) {
	picker, evicted := newSelector(SelectTrace, 100)
	picked, count := picker.pick(mixed(), 8)
	assert.Equal(t, 8, count, "each plain span has a GenAI sibling in the batch")
	assert.Len(t, idsOf(picked), 8)

	later := ptrace.NewTraces()
	spans := later.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	addSpan(spans, 100, 1, false, 0) // the parent, of a known trace
	addSpan(spans, 101, 99, false, 0)
	picked, count = picker.pick(later, 2)
	assert.Equal(t, 1, count)
	assert.Equal(t, []pcommon.SpanID{spanID(100)}, idsOf(picked))
	assert.Zero(t, *evicted)
}

func TestTraceForgetsTheOldestTraceAndCountsIt(t *testing.T) {
	picker, evicted := newSelector(SelectTrace, 2)
	for trace := range uint64(3) {
		td := ptrace.NewTraces()
		addSpan(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans(), trace+1, trace+1, true, 0)
		picker.pick(td, 1)
		picker.pick(td, 1) // known already: no second entry
	}
	assert.Equal(t, 1, *evicted)
	assert.Equal(t, map[pcommon.TraceID]struct{}{traceID(2): {}, traceID(3): {}}, picker.known.known)
}

func TestEmptyTraceIDIsNoTrace(t *testing.T) {
	picker, _ := newSelector(SelectTrace, 2)
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	addSpan(spans, 1, 0, true, 0)
	addSpan(spans, 2, 0, false, 0)
	_, count := picker.pick(td, 2)
	assert.Equal(t, 1, count)
}
