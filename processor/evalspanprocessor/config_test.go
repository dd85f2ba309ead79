package evalspanprocessor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadata"
)

func load(t *testing.T, name string) *Config {
	t.Helper()
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	section, err := file.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	config := createDefaultConfig()
	require.NoError(t, section.Unmarshal(config))
	return config.(*Config)
}

func TestSmallestConfigHasSafeDefaults(t *testing.T) {
	config := load(t, "")
	require.NoError(t, confmap.Validate(config))
	assert.Equal(t, ModeObserve, config.Mode)
	assert.Equal(t, SelectGenAI, config.Select)
	assert.Equal(t, 2*time.Second, config.ShutdownTimeout)
	assert.Zero(t, config.RetryConfig.MaxElapsedTime, "never gives up")
	assert.Empty(t, config.ClientConfig.Compression)

	queue := config.QueueConfig.Get()
	assert.Equal(t, exporterhelper.RequestSizerTypeBytes, queue.Sizer)
	assert.EqualValues(t, 64<<20, queue.QueueSize)
	assert.Equal(t, 4, queue.NumConsumers)
	assert.Nil(t, queue.StorageID)
	batch := queue.Batch.Get()
	assert.Equal(t, exporterhelper.RequestSizerTypeBytes, batch.Sizer)
	assert.Equal(t, 200*time.Millisecond, batch.FlushTimeout)
	assert.EqualValues(t, 1<<20, batch.MinSize)
	assert.EqualValues(t, 4<<20, batch.MaxSize)
}

func TestEverySettingIsRead(t *testing.T) {
	config := load(t, "full")
	require.NoError(t, confmap.Validate(config))
	assert.Equal(t, SelectTrace, config.Select)
	assert.Equal(t, 1000, config.TraceIDsLimit)
	assert.Equal(t, 5*time.Second, config.ShutdownTimeout)
	assert.Equal(t, 3*time.Second, config.TimeoutConfig.Timeout)
	assert.Equal(t, "evalspan.example:4317", config.ClientConfig.Endpoint)
	assert.True(t, config.ClientConfig.Auth.HasValue())
	assert.Equal(t, "file_storage/evalspan", config.QueueConfig.Get().StorageID.String())
	assert.EqualValues(t, 1<<30, config.QueueConfig.Get().QueueSize)
	assert.EqualValues(t, 2<<20, config.QueueConfig.Get().Batch.Get().MaxSize)
	assert.Equal(t, 2<<20, config.maxRequestBytes())
}

// Rows 9 and 12 of the failures: what would make the pipeline wait, or use memory without a bound.
func TestRefusedSettings(t *testing.T) {
	for name, message := range map[string]string{
		"annotate":              "mode: annotate is not available yet",
		"unknown_mode":          `mode: "watch" is unknown`,
		"unknown_select":        `select: "some" is unknown`,
		"no_trace_ids":          "trace_ids_limit: must be positive",
		"no_shutdown_timeout":   "shutdown_timeout: must be positive",
		"no_endpoint":           "endpoint: must be set",
		"no_queue":              "sending_queue: cannot be disabled",
		"block_on_overflow":     "sending_queue::block_on_overflow: must be false",
		"wait_for_result":       "sending_queue::wait_for_result: must be false",
		"requests":              "sending_queue::sizer: must be bytes, got requests",
		"tiny_queue":            "sending_queue::queue_size: is in bytes, 1000 is too small",
		"batch_of_items":        "sending_queue::batch::sizer: must be bytes, got items",
		"endless_batch":         "sending_queue::batch::max_size: must be positive",
		"partitioned":           "sending_queue::batch::partition: is not supported",
		"storage_without_retry": "retry_on_failure::enabled: must be true",
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, confmap.Validate(load(t, name)), message)
		})
	}
}

func TestRequestsAreNeverLargerThanTheQueue(t *testing.T) {
	config := newConfig("x:1", withQueue(func(queue *exporterhelper.QueueBatchConfig) { queue.QueueSize = 1 << 20 }))
	assert.Equal(t, 1<<20, config.maxRequestBytes())
	config = newConfig("x:1", withoutBatch)
	assert.Equal(t, defaultMaxBatchBytes, config.maxRequestBytes())
}
