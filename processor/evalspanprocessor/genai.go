package evalspanprocessor // import "github.com/evalspan/evalspan/processor/evalspanprocessor"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What makes a span a GenAI span: an attribute key with one of these prefixes, on the span itself.
// Which dialect it is, the sidecar decides; here a span too many costs little, one too few is lost.
var keyPrefixes = byFirstByte(
	"ai.", // Vercel AI SDK
	"embedding.",
	"gcp.vertex.agent.", // Google ADK
	"gen_ai.",
	"haystack.",
	"langfuse.",
	"langsmith.",
	"litellm.",
	"llm.", // OpenInference and OpenLLMetry
	"mlflow.",
	"openinference.",
	"openlit.",
	"pydantic_ai.",
	"reranker.",
	"retrieval.",
	"tool.",
	"traceloop.",
)

// The scopes whose every span counts, whatever its attributes.
var scopePrefixes = byFirstByte(
	"agent_framework",
	"com.anthropic.sdk.",
	"gcp.vertex.agent",
	"langfuse-sdk",
	"langsmith",
	"litellm",
	"mlflow.",
	"openinference.instrumentation.",
	"openlit.",
	"opentelemetry.instrumentation.genai.",
	"opentelemetry.util.genai.",
	"pydantic-ai",
	"semantic_kernel",
	"strands.telemetry.",
	"traceloop.",
)

// Scope names too short to be prefixes; both are the Vercel AI SDK's.
const (
	scopeAI    = "ai"
	scopeGenAI = "gen_ai"
)

// prefixTable holds prefixes by their first byte, so that most keys cost one look.
type prefixTable [256][]string

func byFirstByte(prefixes ...string) *prefixTable {
	table := &prefixTable{}
	for _, prefix := range prefixes {
		table[prefix[0]] = append(table[prefix[0]], prefix)
	}
	return table
}

func (t *prefixTable) matches(text string) bool {
	if text == "" {
		return false
	}
	for _, prefix := range t[text[0]] {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func isGenAIScope(name string) bool {
	return name == scopeAI || name == scopeGenAI || scopePrefixes.matches(name)
}

func hasGenAIKey(attributes pcommon.Map) bool {
	for key := range attributes.All() {
		if keyPrefixes.matches(key) {
			return true
		}
	}
	return false
}
