# Agents repeat the tokens of their calls: the sum is over the calls that count.
config
  checks:
    tokens:
load spans
  llm trace=1 span=1 operation=invoke_agent tokens=60/12 seconds=5
  llm trace=1 span=2 parent=1 tokens=20/5 seconds=2
  tool lookup_order trace=1 span=3 parent=1
  llm trace=1 span=4 parent=1 tokens=40/7 seconds=2
at +12s
expect span trace=1 span=1 : role=agent
expect metric gen_ai_client_token_usage_sum{gen_ai_token_type=input} 60
expect metric gen_ai_client_token_usage_sum{gen_ai_token_type=output} 12
expect metric gen_ai_client_operation_duration_seconds_count{} 2
expect scores where check=tokens count 2
expect ledger balanced
