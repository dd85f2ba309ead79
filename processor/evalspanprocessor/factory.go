package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadata"
)

// NewFactory returns the factory of the evalspan processor.
func NewFactory() processor.Factory {
	shared := newClients()
	createTraces := func(
		_ context.Context, set processor.Settings, config component.Config, next consumer.Traces,
	) (processor.Traces, error) {
		return newTracesProcessor(set, config.(*Config), shared, next)
	}
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability),
	)
}
