# Two different spans with the same ids are two spans, not a repeat.
load spans
  llm trace=1 span=1 output=Paris.
  llm trace=1 span=1 output=Rome.
at +12s
expect ledger spans received=2 stored=2 duplicate=0
expect span where trace=1 span=1 output_text=Paris. count 1
expect span where trace=1 span=1 output_text=Rome. count 1
expect ledger balanced
