# Content that comes as log records, after its span or before it, is there when a check looks.
config
  checks:
    contains: {any: ["a"]}
load spans otel-genai-event/chat
at +2s
load logs otel-genai-event/chat
at +15s
expect scores where check=contains verdict=pass count 1

load logs otel-genai-event/responses_chat
at +16s
load spans otel-genai-event/responses_chat
at +40s
expect scores where check=contains verdict=pass count 2
expect ledger spans received=2 stored=2
expect ledger log_records received=2 stored=2
expect ledger balanced

# Content that comes after its trace has settled is kept, and too late for the check.
load spans otel-genai-event/structured
at +60s
load logs otel-genai-event/structured
at +80s
expect scores where check=contains verdict=null error=null count 1
expect scores where check=contains count 3
expect ledger log_records received=3 stored=3
expect ledger balanced
