# What waited in the log before a crash settles after it as if nothing had happened.
config
  settle: {idle: 10s}
  checks:
    latency: {max_ms: 5000}
load spans
  llm trace=1 span=1
at +4s
expect settled where trace=1 count 0
expect ledger spans received=1 stored=1 pending=0
restart
load spans
  llm trace=1 span=2 parent=1 tokens=7/8
at +8s
restart
at +25s
expect settled where trace=1 attempt=1 spans=2 count 1
expect scores where check=latency count 2
expect ledger spans received=2 stored=2 duplicate=0
expect ledger balanced
