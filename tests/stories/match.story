# A check is asked about the spans that match, and the ledger says what became of the others.
config
  dimensions:
    page: {attribute: app.page}
  checks:
    json_valid: {match: "page = 'product' AND role = 'llm'"}
load spans
  llm trace=1 span=1 app.page=product output={}
  llm trace=2 span=1 app.page=product output=nonsense
  llm trace=3 span=1 app.page=help output=nonsense
  tool trace=4 span=1
at +12s
expect scores where check=json_valid verdict=pass trace=1 count 1
expect scores where check=json_valid verdict=fail trace=2 count 1
expect scores where check=json_valid count 2
expect ledger check:json_valid expected=4 done=2 skipped=2 error=0 pending=0
expect metric evalspan_evaluations_total{check=json_valid, outcome=skipped, reason=filter} 2
expect ledger balanced
