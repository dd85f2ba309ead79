# A checklist: expected at once, pending until the judge answered; a quote that is not there is unknown.
config
  checklists:
    tone:
      match: "output_text IS NOT NULL AND role = 'llm'"
      questions:
        polite: {text: "Is it polite?", required: true}
        short: "Is it short?"
        right: "Is it right?"
load spans
  llm trace=1 span=1 output="Paris, at your service."
  llm trace=2 span=1 output=null
  plain step trace=2 span=2 parent=1
at +12s
expect ledger check:tone expected=3 done=0 skipped=2 error=0 pending=1
expect ledger balanced pending=1
expect metric evalspan_evaluations_total{check=tone, outcome=expected} 3
expect metric evalspan_evaluations_total{check=tone, outcome=done} 0
expect metric evalspan_verdicts_total{check=tone} 0

judge asked 1
  polite: yes "at your service"
  short: no "it goes on and on"
  right: unknown
expect scores where check=tone evaluator=judge count 4
expect scores where check=tone item=polite verdict=pass evidence="at your service" count 1
expect scores where check=tone item=short verdict=null reason~"not in the span" count 1
expect scores where check=tone item=right verdict=null count 1
expect scores where check=tone item="" verdict=pass value=1 cost_usd=0.001 count 1
expect ledger check:tone expected=3 done=1 skipped=2 error=0 pending=0
expect ledger balanced
expect metric evalspan_verdicts_total{check=tone, item=polite, verdict=pass} 1
expect metric evalspan_evaluations_total{check=tone, outcome=done} 1
expect metric evalspan_judge_cost_usd_total{check=tone} 0.001

# Nothing new: nobody is asked.
judge asked 0
# Late spans are asked about, the others not again.
load spans
  llm trace=1 span=5 parent=1 tokens=7/8 output="You are welcome."
at +40s
expect ledger balanced pending=1
judge asked 1
  polite: yes welcome
  short: yes welcome
  right: yes welcome
expect scores where check=tone attempt=2 span=5 count 4
expect ledger balanced
