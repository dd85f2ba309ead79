# A user's check that raises, hangs or returns nonsense is a row with an error; the rest goes on.
config
  checks:
    raises: {use: "mine:raises"}
    hangs: {use: "mine:hangs", time_limit: 500ms}
    nonsense: {use: "mine:nonsense"}
    works: {use: "mine:works"}
file mine.py
  import time

  def raises(span):
      raise ValueError("no idea")

  def hangs(span):
      time.sleep(600)

  def nonsense(span):
      return ["what?"]

  def works(span):
      return "Paris" in span.output_text
load spans
  llm trace=1 span=1 output="Paris is it."
  llm trace=2 span=1 output=Rome.
at +12s
expect scores where check=raises error~"ValueError: no idea" verdict=null count 2
expect scores where check=hangs error~0.5 verdict=null count 2
expect scores where check=nonsense error~list verdict=null count 2
expect scores where check=works trace=1 verdict=pass error=null count 1
expect scores where check=works trace=2 verdict=fail error=null count 1
expect ledger check:raises expected=2 done=0 error=2
expect ledger check:hangs expected=2 done=0 error=2
expect metric evalspan_verdicts_total{check=raises, verdict=error} 2
expect ledger balanced
