package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Mode says whether the pipeline waits for the sidecar.
type Mode string

const (
	// ModeObserve passes every span on at once; the sidecar gets a copy afterwards.
	ModeObserve Mode = "observe"
	// ModeAnnotate is reserved: wait for verdicts and put them on the span.
	ModeAnnotate Mode = "annotate"
)

// Select says which spans the sidecar gets.
type Select string

const (
	// SelectGenAI selects the spans that a GenAI instrumentation made.
	SelectGenAI Select = "genai"
	// SelectTrace selects GenAI spans, and the spans of a trace from the batch on in which its
	// first GenAI span came.
	SelectTrace Select = "trace"
	// SelectAll selects every span. The only one that gives whole traces.
	SelectAll Select = "all"
)

const (
	mebibyte              = 1 << 20
	defaultQueueBytes     = 64 * mebibyte
	defaultMinBatchBytes  = mebibyte
	defaultMaxBatchBytes  = 4 * mebibyte
	defaultTraceIDsLimit  = 65_536
	smallestQueueBytes    = 64 << 10
	defaultShutdownPeriod = 2 * time.Second
)

// Config is the configuration of the processor. Everything but the first four settings means what
// it means for the Collector's own OTLP exporter.
type Config struct {
	// Mode is `observe`.
	Mode Mode `mapstructure:"mode"`
	// Select is `genai` (default), `trace` or `all`.
	Select Select `mapstructure:"select"`
	// TraceIDsLimit is how many trace ids `select: trace` remembers. The oldest is forgotten first
	// and counted.
	TraceIDsLimit int `mapstructure:"trace_ids_limit"`
	// ShutdownTimeout is how long a stopping Collector waits for the queue to drain. After it,
	// calls in flight are cancelled; what is in a memory queue is lost and counted, what is in a
	// persistent queue stays there.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`

	// TimeoutConfig is the time one call to the sidecar may take.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// ClientConfig is the address of the sidecar, TLS, headers and authentication.
	ClientConfig configgrpc.ClientConfig `mapstructure:",squash"`
	// RetryConfig is how failed calls are repeated. `max_elapsed_time: 0`, the default here,
	// never gives up.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// QueueConfig is the queue to the sidecar. Its sizes are in bytes.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	_ struct{} // keeps literals keyed
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

// Validate refuses what would make the pipeline wait for the sidecar, or hide a loss.
func (c *Config) Validate() error {
	return errors.Join(c.validateOwn(), c.validateQueue())
}

func (c *Config) validateOwn() error {
	var problems []error
	switch c.Mode {
	case ModeObserve:
	case ModeAnnotate:
		problems = append(problems, errors.New("mode: annotate is not available yet, use mode: observe"))
	default:
		problems = append(problems, fmt.Errorf("mode: %q is unknown, use observe", c.Mode))
	}
	switch c.Select {
	case SelectGenAI, SelectTrace, SelectAll:
	default:
		problems = append(problems, fmt.Errorf("select: %q is unknown, use genai, trace or all", c.Select))
	}
	if c.TraceIDsLimit <= 0 {
		problems = append(problems, fmt.Errorf("trace_ids_limit: must be positive, got %d", c.TraceIDsLimit))
	}
	if c.ShutdownTimeout <= 0 {
		problems = append(problems, fmt.Errorf("shutdown_timeout: must be positive, got %s", c.ShutdownTimeout))
	}
	if c.ClientConfig.Endpoint == "" {
		problems = append(problems, errors.New("endpoint: must be set to the sidecar's host:port"))
	}
	return errors.Join(problems...)
}

func (c *Config) validateQueue() error {
	if !c.QueueConfig.HasValue() {
		return errors.New("sending_queue: cannot be disabled, the pipeline would wait for the sidecar")
	}
	queue := c.QueueConfig.Get()
	var problems []error
	if queue.BlockOnOverflow {
		problems = append(problems, errors.New("sending_queue::block_on_overflow: must be false, "+
			"a full queue would stop the pipeline"))
	}
	if queue.WaitForResult {
		problems = append(problems, errors.New("sending_queue::wait_for_result: must be false, "+
			"the pipeline would wait for the sidecar"))
	}
	if queue.Sizer != exporterhelper.RequestSizerTypeBytes {
		problems = append(problems, fmt.Errorf("sending_queue::sizer: must be bytes, got %s: "+
			"nothing else bounds the memory", queue.Sizer.String()))
	} else if queue.QueueSize < smallestQueueBytes {
		problems = append(problems, fmt.Errorf("sending_queue::queue_size: is in bytes, %d is too small, "+
			"use at least %d (default %d)", queue.QueueSize, smallestQueueBytes, defaultQueueBytes))
	}
	if queue.StorageID != nil && !c.RetryConfig.Enabled {
		problems = append(problems, errors.New("retry_on_failure::enabled: must be true with "+
			"sending_queue::storage, or a stopped sidecar would empty the stored queue"))
	}
	return errors.Join(append(problems, validateBatch(queue))...)
}

func validateBatch(queue *exporterhelper.QueueBatchConfig) error {
	if !queue.Batch.HasValue() {
		return nil
	}
	batch := queue.Batch.Get()
	var problems []error
	if batch.Sizer != exporterhelper.RequestSizerTypeBytes {
		problems = append(problems, fmt.Errorf("sending_queue::batch::sizer: must be bytes, got %s",
			batch.Sizer.String()))
	}
	if batch.MaxSize <= 0 {
		problems = append(problems, errors.New("sending_queue::batch::max_size: must be positive and below "+
			"the sidecar's message size limit, or too large a batch is lost"))
	}
	if len(batch.Partition.MetadataKeys) > 0 {
		problems = append(problems, errors.New("sending_queue::batch::partition: is not supported, "+
			"the queue keeps no client metadata"))
	}
	return errors.Join(problems...)
}

// maxRequestBytes is the size that a request is cut down to before it is queued.
func (c *Config) maxRequestBytes() int {
	queue := c.QueueConfig.Get()
	size := int64(defaultMaxBatchBytes)
	if queue.Batch.HasValue() {
		size = queue.Batch.Get().MaxSize
	}
	return int(min(size, queue.QueueSize))
}

func createDefaultConfig() component.Config {
	client := configgrpc.NewDefaultClientConfig()
	client.WriteBufferSize = 512 << 10

	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxInterval = 10 * time.Second
	retry.MaxElapsedTime = 0

	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = defaultQueueBytes
	queue.NumConsumers = 4
	queue.Batch = configoptional.Some(exporterhelper.BatchConfig{
		FlushTimeout: 200 * time.Millisecond,
		Sizer:        exporterhelper.RequestSizerTypeBytes,
		MinSize:      defaultMinBatchBytes,
		MaxSize:      defaultMaxBatchBytes,
	})
	return &Config{
		Mode:            ModeObserve,
		Select:          SelectGenAI,
		TraceIDsLimit:   defaultTraceIDsLimit,
		ShutdownTimeout: defaultShutdownPeriod,
		TimeoutConfig:   exporterhelper.NewDefaultTimeoutConfig(),
		ClientConfig:    client,
		RetryConfig:     retry,
		QueueConfig:     configoptional.Some(queue),
	}
}
