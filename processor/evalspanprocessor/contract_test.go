package evalspanprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/evalspanv1"
)

// The contract's request has the bytes of OTLP's, so that a queued request could be either.
func TestQueuedBytesAreAnAnnotateRequest(t *testing.T) {
	data := append(bytesOf(mixed()), bytesOf(mixed())...)
	var request evalspanv1.AnnotateRequest
	require.NoError(t, proto.Unmarshal(data, &request))
	require.Len(t, request.ResourceSpans, 4)
	assert.Len(t, request.ResourceSpans[3].ScopeSpans[1].Spans, 2)
}
