package evalspanprocessor

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
)

// halfDead passes connections on until it is told to swallow: what was connected before then stays
// open and carries nothing, as after a router or a load balancer forgot it. New connections work.
type halfDead struct {
	address string
	swallow atomic.Bool
	open    sync.WaitGroup
}

func startHalfDead(t *testing.T, target string) *halfDead {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	proxy := &halfDead{address: listener.Addr().String()}
	var mu sync.Mutex
	var connections []net.Conn
	proxy.open.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			mu.Lock()
			connections = append(connections, near, far)
			mu.Unlock()
			born := !proxy.swallow.Load()
			proxy.open.Go(func() { proxy.copy(far, near, born) })
			proxy.open.Go(func() { proxy.copy(near, far, born) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, connection := range connections {
			_ = connection.Close()
		}
		mu.Unlock()
		proxy.open.Wait()
	})
	return proxy
}

// copy passes bytes on; those of a connection born before the swallowing go nowhere after it.
func (p *halfDead) copy(to io.Writer, from io.Reader, born bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if born && p.swallow.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestAConnectionThatSwallowsEverythingIsGivenUp(t *testing.T) {
	stub := startSidecar(t, "")
	proxy := startHalfDead(t, stub.address)
	config := newConfig(proxy.address, func(config *Config) {
		config.TimeoutConfig.Timeout = time.Second
		require.True(t, config.ClientConfig.Keepalive.HasValue(), "connections are watched by default")
		config.ClientConfig.Keepalive.Get().Timeout = time.Second
	})
	running := start(t, config, consumertest.NewNop(), nil)
	source := &ids{}
	require.NoError(t, running.ConsumeTraces(t.Context(), source.batch(10, true, 0)))
	eventually(t, func() bool { return stub.distinct() == 10 }, "the connection works")

	proxy.swallow.Store(true)
	require.NoError(t, running.ConsumeTraces(t.Context(), source.batch(10, true, 0)))
	// gRPC asks for a sign of life after 10 s, not sooner.
	require.Eventually(t, func() bool { return stub.distinct() == 20 }, time.Minute, 50*time.Millisecond,
		"a new connection is made")
	assert.Zero(t, running.counter("exporter_send_failed_spans"))
}
