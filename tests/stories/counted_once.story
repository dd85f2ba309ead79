# The Anthropic SDK makes a span of its own beside the instrumentor's: one call, counted once.
config
  checks:
    latency: {max_ms: 5000}

load spans scope=opentelemetry.instrumentation.anthropic
  llm trace=1 span=1 seconds=2 tokens=40/9 model=claude-haiku-4-5 provider=anthropic gen_ai.response.id=msg_1
load spans scope=com.anthropic.sdk.python
  llm trace=1 span=2 parent=1 seconds=1.5 tokens=40/9 model=claude-haiku-4-5 provider=anthropic gen_ai.response.id=msg_1 system=null output=null
at +12s

expect ledger balanced
expect ledger spans received=2 stored=2 duplicate=0
expect ledger check:latency expected=2 done=1 skipped=1
expect scores where check=latency count 1
expect scores where check=latency span=1 verdict=pass count 1
expect metric gen_ai_client_token_usage_sum{gen_ai_token_type=input} 40
expect metric evalspan_evaluations_total{check=latency, outcome=skipped, reason=duplicate} 1
