package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/processor"
)

// clients holds one client for each configuration. The Collector makes one processor for each
// pipeline that names it, all with the same *Config; two queues of one id would fight over one
// storage file.
type clients struct {
	mu       sync.Mutex
	byConfig map[*Config]*client
}

func newClients() *clients {
	return &clients{byConfig: map[*Config]*client{}}
}

// acquire returns the configuration's client, made if it is the first call. Each acquire needs one
// release.
func (c *clients) acquire(set processor.Settings, config *Config, own *telemetry) (*client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared, ok := c.byConfig[config]; ok {
		shared.references++
		return shared, nil
	}
	shared, err := newClient(set, config, own)
	if err != nil {
		return nil, err
	}
	shared.references = 1
	c.byConfig[config] = shared
	return shared, nil
}

// release shuts the client down when nobody needs it any longer.
func (c *clients) release(ctx context.Context, config *Config) error {
	c.mu.Lock()
	shared, ok := c.byConfig[config]
	if !ok {
		c.mu.Unlock()
		return errors.New("BUG: released a client that nobody holds")
	}
	shared.references--
	last := shared.references == 0
	if last {
		delete(c.byConfig, config)
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	return shared.stop(ctx)
}

// client is the queue to the sidecar and what empties it.
type client struct {
	references int // guarded by clients.mu

	queue           *queue
	sender          *sender
	known           *traceIDs
	queueBytes      int64
	persistent      bool
	maxRequestBytes int
	shutdownTimeout time.Duration

	startOnce sync.Once
	startErr  error
	started   atomic.Bool
	stopped   atomic.Bool
}

func newClient(set processor.Settings, config *Config, own *telemetry) (*client, error) {
	out := newSender(config, set.TelemetrySettings, set.BuildInfo)
	out.onRejected = own.rejected
	queue, err := newQueue(exporter.Settings{
		ID:                set.ID,
		TelemetrySettings: set.TelemetrySettings,
		BuildInfo:         set.BuildInfo,
	}, config, out)
	if err != nil {
		return nil, err
	}
	settings := config.QueueConfig.Get()
	return &client{
		queue:           queue,
		sender:          out,
		known:           newTraceIDs(config.TraceIDsLimit),
		queueBytes:      settings.QueueSize,
		persistent:      settings.StorageID != nil,
		maxRequestBytes: config.maxRequestBytes(),
		shutdownTimeout: config.ShutdownTimeout,
	}, nil
}

// start starts the queue; every call after the first returns what the first did.
func (c *client) start(ctx context.Context, host component.Host) error {
	c.startOnce.Do(func() {
		c.started.Store(true)
		c.startErr = c.queue.exporter.Start(ctx, host)
	})
	return c.startErr
}

// stop lets the queue drain for at most shutdown_timeout. After that the calls in flight end and
// the rest fails at once: a persistent queue keeps it, a memory queue counts it as lost.
func (c *client) stop(ctx context.Context) error {
	c.stopped.Store(true)
	defer c.sender.abort()
	if !c.started.Load() {
		return nil
	}
	timer := time.AfterFunc(c.shutdownTimeout, c.sender.abort)
	defer timer.Stop()
	unlink := context.AfterFunc(ctx, c.sender.abort)
	defer unlink()
	return c.queue.exporter.Shutdown(ctx)
}

var (
	errStopped  = errors.New("the client has stopped")
	errTooLarge = errors.New("a span is larger than the queue")
)

// offer queues the request or says why not.
func (c *client) offer(ctx context.Context, offered *request) error {
	if c.stopped.Load() {
		return errStopped
	}
	if int64(len(offered.data)) > c.queueBytes {
		return errTooLarge
	}
	return c.queue.offer(ctx, offered)
}
