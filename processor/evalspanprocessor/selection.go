package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// selector decides which spans of a batch the sidecar gets.
type selector struct {
	which Select
	// known is the memory of `select: trace`, shared by all pipelines of one configuration.
	known *traceIDs
	// onEvicted is called with the number of trace ids that were forgotten.
	onEvicted func(ids int)
}

// marks has one entry for each span of a batch, in order: selected or not.
type marks []bool

var marksPool = sync.Pool{New: func() any { return &marks{} }}

// pick returns the selected spans of td and how many they are. When all are selected, that is td
// itself; otherwise a copy. It does not change td, and allocates nothing when none is selected.
func (s *selector) pick(td ptrace.Traces, spans int) (ptrace.Traces, int) {
	if s.which == SelectAll || spans == 0 {
		return td, spans
	}
	selected := marksPool.Get().(*marks)
	defer marksPool.Put(selected)
	if cap(*selected) < spans {
		*selected = make(marks, spans)
	}
	*selected = (*selected)[:spans]
	count := markGenAI(td, *selected)
	if s.which == SelectTrace {
		added, evicted := s.known.mark(td, *selected)
		count += added
		if evicted > 0 {
			s.onEvicted(evicted)
		}
	}
	if count == 0 || count == spans {
		return td, count
	}
	return copyMarked(td, *selected), count
}

// markGenAI sets every mark and returns how many spans are GenAI spans.
func markGenAI(td ptrace.Traces, selected marks) int {
	position, count := 0, 0
	resources := td.ResourceSpans()
	for i := range resources.Len() {
		scopes := resources.At(i).ScopeSpans()
		for j := range scopes.Len() {
			scope := scopes.At(j)
			all := isGenAIScope(scope.Scope().Name())
			spans := scope.Spans()
			for k := range spans.Len() {
				hit := all || hasGenAIKey(spans.At(k).Attributes())
				selected[position] = hit
				position++
				if hit {
					count++
				}
			}
		}
	}
	return count
}

// copyMarked copies the marked spans with the resources and scopes that they stand under.
func copyMarked(td ptrace.Traces, selected marks) ptrace.Traces {
	target := newGrouped(td)
	eachPlace(td, func(at place, span ptrace.Span) {
		if selected[at.position] {
			span.CopyTo(target.spans(at).AppendEmpty())
		}
	})
	return target.traces
}
