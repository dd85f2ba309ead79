# Spans that come after their trace settled make a second attempt; nothing is asked twice.
config
  checks:
    latency: {max_ms: 5000}
    tool_loop:
load spans
  plain agent trace=1 span=1
  llm trace=1 span=2 parent=1
  tool lookup_order trace=1 span=4 parent=1
at +12s
expect settled where trace=1 attempt=1 reason=idle spans=3 late_spans=0 count 1
expect scores where check=latency trace=1 count 1

load spans
  llm trace=1 span=3 parent=1
at +30s
expect settled where trace=1 attempt=2 spans=4 late_spans=1 count 1
expect scores where check=latency count 2
expect scores where check=latency attempt=2 span=3 count 1
# A check of the whole trace is asked again, with all that is known by then.
expect scores where check=tool_loop count 2
expect ledger balanced
