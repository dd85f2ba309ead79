package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadata"
)

// reason is why selected spans are not in the queue; the values of metadata.yaml.
type reason string

const (
	reasonQueueFull       reason = "queue_full"
	reasonPipelineRefused reason = "pipeline_refused"
	reasonTooLarge        reason = "too_large"
	reasonStorage         reason = "storage"
	reasonStopped         reason = "stopped"
)

// telemetry counts what the processor does. The options are made once, so that counting allocates
// nothing.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	own      []metric.AddOption
	byReason map[reason][]metric.AddOption
}

func newTelemetry(set processor.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	id := attribute.String("processor", set.ID.String())
	options := func(attributes ...attribute.KeyValue) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(attributes, id)...))}
	}
	own := &telemetry{builder: builder, own: options(), byReason: map[reason][]metric.AddOption{}}
	for _, why := range []reason{
		reasonQueueFull, reasonPipelineRefused, reasonTooLarge, reasonStorage, reasonStopped,
	} {
		own.byReason[why] = options(attribute.String("reason", string(why)))
	}
	own.zero()
	return own, nil
}

// zero makes every counter visible before its first event, so that the first loss is a rise.
func (t *telemetry) zero() {
	ctx := context.Background()
	t.received(ctx, 0)
	t.selected(ctx, 0)
	t.rejected(ctx, 0)
	t.evicted(0)
	for why := range t.byReason {
		t.notQueued(ctx, 0, why)
	}
}

func (t *telemetry) received(ctx context.Context, spans int) {
	t.builder.ProcessorEvalspanReceivedSpans.Add(ctx, int64(spans), t.own...)
}

func (t *telemetry) selected(ctx context.Context, spans int) {
	t.builder.ProcessorEvalspanSelectedSpans.Add(ctx, int64(spans), t.own...)
}

func (t *telemetry) rejected(ctx context.Context, spans int64) {
	t.builder.ProcessorEvalspanRejectedSpans.Add(ctx, spans, t.own...)
}

func (t *telemetry) evicted(ids int) {
	t.builder.ProcessorEvalspanTraceIdsEvicted.Add(context.Background(), int64(ids), t.own...)
}

func (t *telemetry) notQueued(ctx context.Context, spans int, why reason) {
	t.builder.ProcessorEvalspanNotQueuedSpans.Add(ctx, int64(spans), t.byReason[why]...)
}

// reasonOf names the error of an offer.
func reasonOf(err error, persistent bool) reason {
	switch {
	case errors.Is(err, errStopped):
		return reasonStopped
	case errors.Is(err, errTooLarge):
		return reasonTooLarge
	case errors.Is(err, errQueueFull) || !persistent:
		return reasonQueueFull
	default:
		return reasonStorage
	}
}
