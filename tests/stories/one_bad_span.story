# One bad span among good ones costs itself, with its bytes and the reason.
config
  checks:
    status:
load spans
  llm trace=1 span=1
  llm trace=0 span=1
  llm trace=2 span=0
  llm trace=3 span=1
at +12s
expect ledger spans received=4 stored=2 quarantined=2
expect quarantine where signal=traces part=1 reason~trace count 1
expect quarantine where signal=traces part=2 reason~span count 1
expect scores where check=status count 2
expect metric evalspan_spans_total{outcome=quarantined} 2
expect ledger balanced
