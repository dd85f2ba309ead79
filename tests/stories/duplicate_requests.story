# The same request again, and the same span in a request batched anew: stored and scored once.
config
  checks:
    status:
load spans
  llm trace=1 span=1
  llm trace=2 span=1
at +3s
load spans
  llm trace=1 span=1
  llm trace=2 span=1
at +6s
load spans
  llm trace=2 span=1
  llm trace=3 span=1
at +20s
expect ledger spans received=6 stored=3 duplicate=3
expect scores where check=status count 3
expect ledger balanced

# Another process begins where this one ended, and still knows them.
restart
load spans
  llm trace=3 span=1
at +40s
expect ledger spans received=7 stored=3 duplicate=4
expect scores where check=status count 3
expect ledger balanced
