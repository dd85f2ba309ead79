package evalspanprocessor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectorclient "go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadatatest"
)

var storageID = component.MustNewIDWithName("file_storage", "evalspan")

func withStorage(config *Config) { config.QueueConfig.Get().StorageID = &storageID }

// storage opens the real file storage in a folder; the returned function closes it.
func storage(
	t *testing.T, folder string, changes ...func(*filestorage.Config),
) (map[component.ID]component.Component, func()) {
	t.Helper()
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = folder
	config.Timeout = time.Second
	for _, change := range changes {
		change(config)
	}
	extension, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, extension.Start(t.Context(), componenttest.NewNopHost()))
	return map[component.ID]component.Component{storageID: extension}, func() {
		require.NoError(t, extension.Shutdown(context.Background()))
	}
}

// unmanaged starts a processor that the test itself shuts down.
func unmanaged(
	t *testing.T, config *Config, extensions map[component.ID]component.Component,
) (*componenttest.Telemetry, processor.Traces) {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	traces, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(telemetry), config,
		consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), host{extensions}))
	return telemetry, traces
}

// Failure 1: a processor is one instance for each pipeline, all with one id. Two queues would wait
// for each other's file lock.
func TestTwoPipelinesShareOneQueueAndOneStorageFile(t *testing.T) {
	stub := startSidecar(t, "")
	extensions, closeStorage := storage(t, t.TempDir())
	defer closeStorage()
	config := newConfig(stub.address, withStorage)
	factory := NewFactory()
	telemetry := componenttest.NewTelemetry()
	var instances []processor.Traces
	for range 2 {
		instance, err := factory.CreateTraces(t.Context(), metadatatest.NewSettings(telemetry), config,
			consumertest.NewNop())
		require.NoError(t, err)
		instances = append(instances, instance)
	}
	for _, instance := range instances {
		require.NoError(t, instance.Start(t.Context(), host{extensions}))
	}
	// The same batch comes by both pipelines: the sidecar gets it twice, and has to notice.
	for _, instance := range instances {
		require.NoError(t, instance.ConsumeTraces(t.Context(), (&ids{}).batch(50, true, 0)))
	}
	eventually(t, func() bool {
		_, distinct, duplicates := stub.counts()
		return distinct == 50 && duplicates == 50
	}, "each span twice")
	// One pipeline stops; the other still delivers.
	require.NoError(t, instances[0].Shutdown(context.Background()))
	require.NoError(t, instances[0].Shutdown(context.Background()), "a second time changes nothing")
	require.NoError(t, instances[1].ConsumeTraces(t.Context(), (&ids{last: 1000}).batch(50, true, 0)))
	eventually(t, func() bool { return stub.distinct() == 100 }, "the second pipeline is alive")
	require.NoError(t, instances[1].Shutdown(context.Background()))
	require.NoError(t, telemetry.Shutdown(context.Background()))
}

func TestAClientCanBeMadeAgainAfterTheLastPipelineStopped(t *testing.T) {
	stub := startSidecar(t, "")
	folder := t.TempDir()
	config := newConfig(stub.address, withStorage)
	factory := NewFactory()
	for round := range uint64(2) {
		extensions, closeStorage := storage(t, folder)
		instance, err := factory.CreateTraces(t.Context(), metadatatest.NewSettings(componenttest.NewTelemetry()),
			config, consumertest.NewNop())
		require.NoError(t, err)
		require.NoError(t, instance.Start(t.Context(), host{extensions}))
		require.NoError(t, instance.ConsumeTraces(t.Context(), (&ids{last: round * 100}).batch(10, true, 0)))
		eventually(t, func() bool { return stub.distinct() == int(round+1)*10 }, "delivered")
		require.NoError(t, instance.Shutdown(context.Background()))
		closeStorage()
	}
}

func TestStartFailsWhenTheStorageIsNotThere(t *testing.T) {
	instance, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(componenttest.NewTelemetry()),
		newConfig("127.0.0.1:1", withStorage), consumertest.NewNop())
	require.NoError(t, err)
	assert.ErrorContains(t, instance.Start(t.Context(), host{}), "no storage client extension found")
	require.NoError(t, instance.Shutdown(context.Background()))
}

func TestQueuedSpansSurviveARestart(t *testing.T) {
	for name, batching := range map[string]func(*Config){"with batch": func(*Config) {}, "without batch": withoutBatch} {
		t.Run(name, func(t *testing.T) {
			folder, address := t.TempDir(), deadAddress(t)
			config := func() *Config {
				return newConfig(address, withStorage, batching, func(c *Config) { c.ShutdownTimeout = fast })
			}
			extensions, closeStorage := storage(t, folder)
			_, traces := unmanaged(t, config(), extensions)
			made := &ids{}
			for range 30 {
				require.NoError(t, traces.ConsumeTraces(t.Context(), made.batch(20, true, 0)))
			}
			require.NoError(t, traces.Shutdown(context.Background()))
			closeStorage()

			stub := startSidecar(t, address)
			extensions, closeStorage = storage(t, folder)
			defer closeStorage()
			_, traces = unmanaged(t, config(), extensions)
			eventually(t, func() bool { return stub.distinct() == 600 }, "all 600 arrive after the restart")
			_, _, duplicates := stub.counts()
			assert.Zero(t, duplicates)
			require.NoError(t, traces.Shutdown(context.Background()))
		})
	}
}

// Failure 3 with a persistent queue: a hung sidecar neither holds up the shutdown nor costs a span.
func TestPersistentQueueSurvivesShutdownWithAHungSidecar(t *testing.T) {
	stub := startSidecar(t, "")
	stub.set(hang)
	folder := t.TempDir()
	config := func() *Config {
		return newConfig(stub.address, withStorage, func(c *Config) { c.ShutdownTimeout = 500 * time.Millisecond })
	}
	extensions, closeStorage := storage(t, folder)
	_, traces := unmanaged(t, config(), extensions)
	made := &ids{}
	for range 50 {
		require.NoError(t, traces.ConsumeTraces(t.Context(), made.batch(20, true, 0)))
	}
	eventually(t, func() bool { return stub.called() > 0 }, "a call hangs")
	begun := time.Now()
	require.NoError(t, traces.Shutdown(context.Background()))
	assert.Less(t, time.Since(begun), 500*time.Millisecond+time.Second)
	closeStorage()

	stub.set(func(context.Context, int) error { return nil })
	extensions, closeStorage = storage(t, folder)
	defer closeStorage()
	_, traces = unmanaged(t, config(), extensions)
	eventually(t, func() bool { return stub.distinct() == 1000 }, "all arrive after the restart")
	require.NoError(t, traces.Shutdown(context.Background()))
}

func TestFullPersistentQueueDoesNotDisturbThePipeline(t *testing.T) {
	extensions, closeStorage := storage(t, t.TempDir())
	defer closeStorage()
	config := newConfig(deadAddress(t), withStorage, func(c *Config) { c.ShutdownTimeout = fast },
		withQueue(func(queue *exporterhelper.QueueBatchConfig) { queue.QueueSize = 1 << 20 }))
	telemetry, traces := unmanaged(t, config, extensions)
	made := &ids{}
	for range 40 {
		require.NoError(t, traces.ConsumeTraces(t.Context(), made.batch(100, true, 500)))
	}
	seen := &running{telemetry: telemetry}
	oneBatch := len(bytesOf(made.batch(100, true, 500)))
	assert.Equal(t, 4000-(1<<20)/oneBatch*100, seen.notQueued(reasonQueueFull))
	require.NoError(t, traces.Shutdown(context.Background()))
}

func TestFullDiskIsCountedAndDoesNotDisturbThePipeline(t *testing.T) {
	extensions, closeStorage := storage(t, t.TempDir(), func(c *filestorage.Config) { c.MaxSize = 1 << 20 })
	defer closeStorage()
	config := newConfig(deadAddress(t), withStorage, func(c *Config) { c.ShutdownTimeout = fast })
	telemetry, traces := unmanaged(t, config, extensions)
	made := &ids{}
	for range 40 {
		require.NoError(t, traces.ConsumeTraces(t.Context(), made.batch(100, true, 500)))
	}
	seen := &running{telemetry: telemetry}
	lost := seen.notQueued(reasonStorage)
	assert.Positive(t, lost)
	assert.Less(t, lost, 4000)
	assert.Equal(t, lost, seen.notQueued())
	require.NoError(t, traces.Shutdown(context.Background()))
}

// A receiver with `include_metadata` puts the app's headers into the context, tokens among them.
func TestClientMetadataIsNotStored(t *testing.T) {
	folder := t.TempDir()
	extensions, closeStorage := storage(t, folder)
	config := newConfig(deadAddress(t), withStorage, func(c *Config) { c.ShutdownTimeout = fast })
	_, traces := unmanaged(t, config, extensions)
	ctx := collectorclient.NewContext(t.Context(), collectorclient.Info{
		Metadata: collectorclient.NewMetadata(map[string][]string{"authorization": {"Bearer very-secret"}}),
	})
	td := (&ids{}).batch(1, true, 0)
	eachPlace(td, func(_ place, span ptrace.Span) { span.SetName("known-span-name") })
	require.NoError(t, traces.ConsumeTraces(ctx, td))
	require.NoError(t, traces.Shutdown(context.Background()))
	closeStorage()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	stored, err := os.ReadFile(files[0])
	require.NoError(t, err)
	assert.True(t, bytes.Contains(stored, []byte("known-span-name")), "the span is on disk")
	assert.False(t, bytes.Contains(stored, []byte("very-secret")), "the token is not")
}
