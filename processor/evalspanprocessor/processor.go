package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"
	"sync"

	collectorclient "go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
)

// tracesProcessor stands in one pipeline.
type tracesProcessor struct {
	config    *Config
	clients   *clients
	client    *client
	selector  *selector
	telemetry *telemetry
	next      consumer.Traces
	release   sync.Once
}

var _ processor.Traces = (*tracesProcessor)(nil)

func newTracesProcessor(
	set processor.Settings, config *Config, shared *clients, next consumer.Traces,
) (*tracesProcessor, error) {
	own, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	client, err := shared.acquire(set, config, own)
	if err != nil {
		return nil, err
	}
	return &tracesProcessor{
		config:    config,
		clients:   shared,
		client:    client,
		selector:  &selector{which: config.Select, known: client.known, onEvicted: own.evicted},
		telemetry: own,
		next:      next,
	}, nil
}

// Capabilities says that the spans are not changed.
func (*tracesProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Start starts the client that all pipelines of the configuration share.
func (p *tracesProcessor) Start(ctx context.Context, host component.Host) error {
	return p.client.start(ctx, host)
}

// Shutdown ends the client when this is its last pipeline.
func (p *tracesProcessor) Shutdown(ctx context.Context) error {
	var err error
	p.release.Do(func() { err = p.clients.release(ctx, p.config) })
	return err
}

// ConsumeTraces passes td on. The copy for the sidecar is taken as bytes before, because the next
// component may change td, and offered after, because a refused batch comes again. What becomes of
// the copy is counted and never returned.
func (p *tracesProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	requests := p.take(ctx, td)
	err := p.next.ConsumeTraces(ctx, td)
	if len(requests) == 0 {
		return err
	}
	// The sender's metadata is none of the sidecar's business, and its deadline is over.
	offerCtx := context.WithoutCancel(collectorclient.NewContext(ctx, collectorclient.Info{}))
	for _, request := range requests {
		p.give(offerCtx, request, err)
	}
	return err
}

// take counts the batch and returns its selected spans as requests.
func (p *tracesProcessor) take(ctx context.Context, td ptrace.Traces) []*request {
	spans := td.SpanCount()
	p.telemetry.received(ctx, spans)
	picked, count := p.selector.pick(td, spans)
	if count == 0 {
		return nil
	}
	p.telemetry.selected(ctx, count)
	return marshal(picked, count, p.client.maxRequestBytes)
}

func (p *tracesProcessor) give(ctx context.Context, offered *request, nextErr error) {
	if nextErr != nil {
		p.telemetry.notQueued(ctx, offered.spans, reasonPipelineRefused)
		return
	}
	if err := p.client.offer(ctx, offered); err != nil {
		p.telemetry.notQueued(ctx, offered.spans, reasonOf(err, p.client.persistent))
	}
}
