# A dimension set on the root, on a span between, or on the resource comes down to the calls.
config
  dimensions:
    customer: {attribute: app.customer}
    region: {attribute: cloud.region}
  checks:
    status:
load spans cloud.region=eu
  plain request trace=1 span=1 app.customer=acme
  plain step trace=1 span=2 parent=1
  llm trace=1 span=3 parent=2
  plain request trace=2 span=1 app.customer=acme
  plain step trace=2 span=2 parent=1 app.customer=globex
  llm trace=2 span=3 parent=2
  llm trace=3 span=1
at +12s
expect scores where check=status trace=1 dimensions.customer=acme dimensions.region=eu count 1
expect scores where check=status trace=2 dimensions.customer=globex count 1
expect scores where check=status trace=3 dimensions.customer=null dimensions.region=eu count 1
expect metric evalspan_verdicts_total{check=status, customer=acme, region=eu} 1
expect metric evalspan_verdicts_total{check=status, customer=globex} 1
expect ledger balanced
