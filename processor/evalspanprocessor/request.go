package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is some spans as the bytes of an OTLP export request. Two of them, one after the other,
// are the bytes of one.
type request struct {
	data  []byte
	spans int
}

// marshal turns a batch of that many spans into requests of at most maxBytes each. A single span
// that is larger goes alone. It does not change td.
func marshal(td ptrace.Traces, spans, maxBytes int) []*request {
	whole := &request{data: bytesOf(td), spans: spans}
	if len(whole.data) <= maxBytes || spans == 1 {
		return []*request{whole}
	}
	var requests []*request
	for _, part := range split(td, maxBytes) {
		requests = append(requests, &request{data: bytesOf(part), spans: part.SpanCount()})
	}
	return requests
}

func bytesOf(td ptrace.Traces) []byte {
	marshaler := ptrace.ProtoMarshaler{}
	data, err := marshaler.MarshalTraces(td)
	if err != nil {
		panic("BUG: marshaling valid pdata cannot fail: " + err.Error())
	}
	return data
}

// fieldOverheadBytes bounds what a nested message costs besides its content: a tag of one byte and
// a length of up to five.
const fieldOverheadBytes = 6

// split copies td into batches whose marshaled size is at most maxBytes, or that hold one span.
func split(td ptrace.Traces, maxBytes int) []ptrace.Traces {
	var parts []ptrace.Traces
	current, size := newGrouped(td), 0
	eachPlace(td, func(at place, span ptrace.Span) {
		cost := current.cost(at, span)
		if size > 0 && size+cost > maxBytes {
			parts = append(parts, current.traces)
			current, size = newGrouped(td), 0
			cost = current.cost(at, span)
		}
		span.CopyTo(current.spans(at).AppendEmpty())
		size += cost
	})
	return append(parts, current.traces)
}

// cost bounds from above by how many bytes the batch grows when the span is added, the resource
// and the scope that have to come with it included.
func (g *grouped) cost(at place, span ptrace.Span) int {
	marshaler := ptrace.ProtoMarshaler{}
	bytes := marshaler.SpanSize(span) + fieldOverheadBytes
	newResource := at.resource != g.last.resource
	if newResource {
		header := ptrace.NewResourceSpans()
		source := g.source.ResourceSpans().At(at.resource)
		source.Resource().CopyTo(header.Resource())
		header.SetSchemaUrl(source.SchemaUrl())
		bytes += marshaler.ResourceSpansSize(header) + fieldOverheadBytes
	}
	if newResource || at.scope != g.last.scope {
		header := ptrace.NewScopeSpans()
		source := g.source.ResourceSpans().At(at.resource).ScopeSpans().At(at.scope)
		source.Scope().CopyTo(header.Scope())
		header.SetSchemaUrl(source.SchemaUrl())
		bytes += marshaler.ScopeSpansSize(header) + fieldOverheadBytes
	}
	return bytes
}

// The fields that lead from a request to its spans: resource_spans, scope_spans, spans.
var pathToSpans = []protowire.Number{1, 2, 2}

// countSpans counts the spans in the bytes of a request without decoding them. Bytes that are no
// protobuf end the count.
func countSpans(data []byte) int {
	return countFields(data, pathToSpans)
}

func countFields(data []byte, path []protowire.Number) int {
	count := 0
	for len(data) > 0 {
		number, wireType, tagLength := protowire.ConsumeTag(data)
		if tagLength < 0 {
			return count
		}
		data = data[tagLength:]
		valueLength := protowire.ConsumeFieldValue(number, wireType, data)
		if valueLength < 0 {
			return count
		}
		if number == path[0] && wireType == protowire.BytesType {
			if len(path) == 1 {
				count++
			} else {
				content, _ := protowire.ConsumeBytes(data)
				count += countFields(content, path[1:])
			}
		}
		data = data[valueLength:]
	}
	return count
}
