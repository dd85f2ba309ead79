package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// errAborted is retryable, so a persistent queue keeps what it was returned for.
var errAborted = errors.New("shutdown_timeout has passed, not sent")

// sender sends requests to the sidecar over one gRPC connection.
type sender struct {
	config    *configgrpc.ClientConfig
	telemetry component.TelemetrySettings
	userAgent string
	// onRejected is called with the number of spans that an OK answer reports as rejected.
	onRejected func(ctx context.Context, spans int64)

	// aborted ends calls in flight and refuses all later ones.
	aborted context.Context
	abort   context.CancelFunc

	connection *grpc.ClientConn
}

var _ transport = (*sender)(nil)

func newSender(config *Config, telemetry component.TelemetrySettings, build component.BuildInfo) *sender {
	aborted, abort := context.WithCancel(context.Background())
	return &sender{
		config:    &config.ClientConfig,
		telemetry: telemetry,
		userAgent: fmt.Sprintf("%s/%s (%s/%s)", build.Command, build.Version, runtime.GOOS, runtime.GOARCH),
		aborted:   aborted,
		abort:     abort,
	}
}

// start makes the connection. The sidecar need not be there.
func (s *sender) start(ctx context.Context, host component.Host) error {
	connection, err := s.config.ToClientConn(ctx, host.GetExtensions(), s.telemetry,
		configgrpc.WithGrpcDialOption(grpc.WithUserAgent(s.userAgent)))
	s.connection = connection
	return err
}

func (s *sender) shutdown(context.Context) error {
	if s.connection == nil {
		return nil
	}
	return s.connection.Close()
}

// send makes one call. Its error is permanent when the call must not be repeated.
func (s *sender) send(ctx context.Context, request *request) error {
	if s.aborted.Err() != nil {
		return errAborted
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unlink := context.AfterFunc(s.aborted, cancel)
	defer unlink()

	var answer []byte
	err := s.connection.Invoke(ctx, exportMethod, request.data, &answer, grpc.ForceCodecV2(bytesCodec{}))
	if err != nil {
		return classify(err)
	}
	return s.countRejected(ctx, answer)
}

func (s *sender) countRejected(ctx context.Context, answer []byte) error {
	response := ptraceotlp.NewExportResponse()
	if err := response.UnmarshalProto(answer); err != nil {
		return fmt.Errorf("the sidecar's answer is no OTLP: %w", err)
	}
	if rejected := response.PartialSuccess().RejectedSpans(); rejected > 0 {
		s.onRejected(ctx, rejected)
	}
	return nil
}

// classify applies OTLP's rules of which answers are worth another try, and after how long.
func classify(err error) error {
	answer := status.Convert(err)
	delay := retryInfo(answer)
	switch answer.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable,
		codes.DataLoss:
	case codes.ResourceExhausted:
		if delay == nil {
			return consumererror.NewPermanent(err)
		}
	default:
		return consumererror.NewPermanent(err)
	}
	if wait := delay.GetRetryDelay().AsDuration(); wait > 0 {
		return exporterhelper.NewThrottleRetry(err, wait)
	}
	return err
}

func retryInfo(answer *status.Status) *errdetails.RetryInfo {
	for _, detail := range answer.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}

// bytesCodec puts bytes on the wire as they are. It calls itself proto, because they are.
type bytesCodec struct{}

// Name is the content subtype.
func (bytesCodec) Name() string { return "proto" }

// Marshal takes a []byte and does not copy it.
func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	data, ok := message.([]byte)
	if !ok {
		return nil, fmt.Errorf("BUG: bytesCodec got %T, want []byte", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal fills a *[]byte.
func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	target, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("BUG: bytesCodec got %T, want *[]byte", message)
	}
	*target = data.Materialize()
	return nil
}
