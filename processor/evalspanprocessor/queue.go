package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// This file is the only one that knows the Collector's experimental request API. The Collector's
// exporter helper gives the queue, its persistence, batching, retries and their metrics, here over
// requests that are bytes already.

// queue is an exporter helper that is offered bytes.
type queue struct {
	exporter exporter.Traces
}

// transport is what the queue empties into.
type transport interface {
	start(ctx context.Context, host component.Host) error
	send(ctx context.Context, request *request) error
	shutdown(ctx context.Context) error
}

func newQueue(set exporter.Settings, config *Config, to transport) (*queue, error) {
	send := func(ctx context.Context, queued xexporterhelper.Request) error {
		return to.send(ctx, queued.(*queuedRequest).request)
	}
	helper, err := xexporterhelper.NewTracesRequest(context.Background(), set, requestInContext, send,
		exporterhelper.WithStart(to.start),
		exporterhelper.WithShutdown(to.shutdown),
		exporterhelper.WithTimeout(config.TimeoutConfig),
		exporterhelper.WithRetry(config.RetryConfig),
		xexporterhelper.WithQueueBatch(config.QueueConfig,
			xexporterhelper.QueueBatchSettings{Encoding: encoding{}}),
	)
	return &queue{exporter: helper}, err
}

// errQueueFull is returned by offer when there is no room.
var errQueueFull = exporterhelper.ErrQueueIsFull

// offer puts the request into the queue, or returns why it could not. It never waits for the
// sidecar; with a persistent queue it waits for the disk.
func (q *queue) offer(ctx context.Context, offered *request) error {
	return q.exporter.ConsumeTraces(context.WithValue(ctx, offeredKey{}, offered), ptrace.Traces{})
}

// offeredKey is where offer puts the request that the helper's converter takes out again.
type offeredKey struct{}

func requestInContext(ctx context.Context, _ ptrace.Traces) (xexporterhelper.Request, error) {
	offered, ok := ctx.Value(offeredKey{}).(*request)
	if !ok {
		return nil, errors.New("BUG: no request in the context, got a batch that offer did not send")
	}
	return &queuedRequest{request: offered}, nil
}

// queuedRequest is a request in the exporter helper's terms.
type queuedRequest struct {
	request *request
}

var _ xexporterhelper.Request = (*queuedRequest)(nil)

// ItemsCount returns the number of spans.
func (r *queuedRequest) ItemsCount() int { return r.request.spans }

// BytesSize returns the size on the wire, which is the size in memory.
func (r *queuedRequest) BytesSize() int { return len(r.request.data) }

// MergeSplit joins two requests if the result is at most maxSize bytes. It cannot split: requests
// are cut to size before they are queued. The order of the two is kept, because the helper ties
// the first to what was queued first.
func (r *queuedRequest) MergeSplit(
	_ context.Context, maxSize int, _ exporterhelper.RequestSizerType, other xexporterhelper.Request,
) ([]xexporterhelper.Request, error) {
	if other == nil {
		return []xexporterhelper.Request{r}, nil
	}
	second := other.(*queuedRequest)
	if maxSize > 0 && r.BytesSize()+second.BytesSize() > maxSize {
		return []xexporterhelper.Request{r, second}, nil
	}
	merged := &request{
		data:  append(r.request.data, second.request.data...),
		spans: r.request.spans + second.request.spans,
	}
	return []xexporterhelper.Request{&queuedRequest{request: merged}}, nil
}

// encoding is how a request lies in a persistent queue: its own bytes, plain OTLP. No context, so
// that no client metadata (which may hold tokens) gets on disk.
type encoding struct{}

// Marshal returns the bytes of the request.
func (encoding) Marshal(_ context.Context, queued xexporterhelper.Request) ([]byte, error) {
	return queued.(*queuedRequest).request.data, nil
}

// Unmarshal takes the bytes as they are. It never fails: an error here would make the helper drop
// the item, while the sidecar quarantines what it cannot read.
func (encoding) Unmarshal(data []byte) (context.Context, xexporterhelper.Request, error) {
	return context.Background(), &queuedRequest{request: &request{data: data, spans: countSpans(data)}}, nil
}
