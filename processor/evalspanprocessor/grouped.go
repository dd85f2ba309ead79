package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import "go.opentelemetry.io/collector/pdata/ptrace"

// place says where in a batch a span stands.
type place struct {
	resource, scope int
	// position counts the spans of the whole batch.
	position int
}

func eachPlace(td ptrace.Traces, visit func(place, ptrace.Span)) {
	at := place{}
	for i, resource := range td.ResourceSpans().All() {
		for j, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				at.resource, at.scope = i, j
				visit(at, span)
				at.position++
			}
		}
	}
}

// grouped builds a batch out of some spans of another one, in its order. A resource or scope is
// copied when the first span under it comes.
type grouped struct {
	source ptrace.Traces
	traces ptrace.Traces
	// The place of the last span, resource -1 before the first, and where its siblings go.
	last     place
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
}

func newGrouped(source ptrace.Traces) *grouped {
	return &grouped{source: source, traces: ptrace.NewTraces(), last: place{resource: -1}}
}

// spans returns the slice that a span from that place belongs in.
func (g *grouped) spans(at place) ptrace.SpanSlice {
	newResource := at.resource != g.last.resource
	if newResource {
		source := g.source.ResourceSpans().At(at.resource)
		g.resource = g.traces.ResourceSpans().AppendEmpty()
		source.Resource().CopyTo(g.resource.Resource())
		g.resource.SetSchemaUrl(source.SchemaUrl())
	}
	if newResource || at.scope != g.last.scope {
		source := g.source.ResourceSpans().At(at.resource).ScopeSpans().At(at.scope)
		g.scope = g.resource.ScopeSpans().AppendEmpty()
		source.Scope().CopyTo(g.scope.Scope())
		g.scope.SetSchemaUrl(source.SchemaUrl())
	}
	g.last = at
	return g.scope.Spans()
}
