# A span that no dialect claims stays, as a span of another kind, and is not counted as a call.
config
  checks:
    latency: {max_ms: 5000}
load spans
  plain "GET /orders" trace=1 span=1 kind=server http.response.status_code=200
at +12s
expect span trace=1 : role=other dialect=null name="GET /orders" kind=server
expect ledger check:latency expected=1 done=0 skipped=1
expect metric gen_ai_client_operation_duration_seconds_count{} 0
expect ledger balanced
