// Package evalspanprocessor is a Collector processor that passes every span on untouched and
// offers a copy of the GenAI spans to the evalspan sidecar by OTLP.
package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

//go:generate go tool -modfile=../tools/go.mod mdatagen metadata.yaml
