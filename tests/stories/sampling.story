# A sample: the same traces every time, each standing for the ones left out.
config
  checks:
    status: {sample: 0.25}
load spans
  llm repeat=60 span=1
at +12s
expect ledger check:status expected=60 done=15 skipped=45
expect scores where check=status weight=4 count 15
expect metric evalspan_evaluations_total{check=status, outcome=skipped, reason=sampled} 45
expect ledger balanced
