package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traceIDs remembers the last `limit` trace ids that were added. mark is safe for concurrent use.
type traceIDs struct {
	limit int

	mu     sync.Mutex
	known  map[pcommon.TraceID]struct{}
	order  []pcommon.TraceID
	oldest int // index in order of the id that is forgotten next, once order is full
}

func newTraceIDs(limit int) *traceIDs {
	return &traceIDs{limit: limit, known: map[pcommon.TraceID]struct{}{}}
}

// mark remembers the traces of the selected spans, then selects the other spans of every known
// trace. It returns how many spans it selected and how many older trace ids it forgot.
func (t *traceIDs) mark(td ptrace.Traces, selected marks) (added, evicted int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	eachPlace(td, func(at place, span ptrace.Span) {
		if selected[at.position] && t.add(span.TraceID()) {
			evicted++
		}
	})
	eachPlace(td, func(at place, span ptrace.Span) {
		if selected[at.position] {
			return
		}
		if _, known := t.known[span.TraceID()]; known {
			selected[at.position] = true
			added++
		}
	})
	return added, evicted
}

// add remembers id and returns whether an older one was forgotten for it. The empty id names no
// trace and is not remembered.
func (t *traceIDs) add(id pcommon.TraceID) (evicted bool) {
	if id.IsEmpty() {
		return false
	}
	if _, known := t.known[id]; known {
		return false
	}
	t.known[id] = struct{}{}
	if len(t.order) < t.limit {
		t.order = append(t.order, id)
		return false
	}
	delete(t.known, t.order[t.oldest])
	t.order[t.oldest] = id
	t.oldest = (t.oldest + 1) % t.limit
	return true
}
