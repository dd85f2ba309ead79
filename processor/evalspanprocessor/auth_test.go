package evalspanprocessor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/evalspan/evalspan/processor/evalspanprocessor/internal/metadatatest"
)

var authID = component.MustNewID("bearertokenauth")

func withBearer(config *Config) {
	config.ClientConfig.Auth = configoptional.Some(configauth.Config{AuthenticatorID: authID})
}

func bearer(t *testing.T, token string) map[component.ID]component.Component {
	t.Helper()
	factory := bearertokenauthextension.NewFactory()
	config := factory.CreateDefaultConfig().(*bearertokenauthextension.Config)
	config.BearerToken = configopaque.String(token)
	extension, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, extension.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, extension.Shutdown(context.Background())) })
	return map[component.ID]component.Component{authID: extension}
}

// certificate is a self-signed one for 127.0.0.1, and its PEM text.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text)
}

func TestBearerTokenGoesOverTLS(t *testing.T) {
	pair, text := certificate(t)
	onlyWithToken := func(
		ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
	) (any, error) {
		if got := metadata.ValueFromIncomingContext(ctx, "authorization"); len(got) != 1 || got[0] != "Bearer secret" {
			return nil, status.Errorf(codes.Unauthenticated, "authorization is %q", got)
		}
		return handle(ctx, in)
	}
	stub := startSidecar(t, "", grpc.Creds(credentials.NewServerTLSFromCert(&pair)), grpc.UnaryInterceptor(onlyWithToken))
	config := newConfig(stub.address, withBearer)
	config.ClientConfig.TLS.Insecure = false
	config.ClientConfig.TLS.CAPem = configopaque.String(text)
	running := start(t, config, consumertest.NewNop(), bearer(t, "secret"))
	require.NoError(t, running.ConsumeTraces(t.Context(), (&ids{}).batch(10, true, 0)))
	eventually(t, func() bool { return stub.distinct() == 10 }, "accepted with the token")
}

func TestBearerTokenIsNeverSentInTheClear(t *testing.T) {
	config := newConfig("127.0.0.1:1", withBearer)
	instance, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(componenttest.NewTelemetry()),
		config, consumertest.NewNop())
	require.NoError(t, err)
	assert.ErrorContains(t, instance.Start(t.Context(), host{bearer(t, "secret")}), "require transport level security")
	require.NoError(t, instance.Shutdown(context.Background()))
}
