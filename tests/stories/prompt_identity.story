# A prompt is known by name and version where the app says them, else by a hash of its exact text.
config
  checks:
    status:
load spans
  llm trace=1 span=1 system="Answer in one word."
  llm trace=2 span=1 system="Answer in one word. "
  llm trace=3 span=1 system="Answer in one word." gen_ai.prompt.name=capital gen_ai.prompt.version=7
  llm trace=4 span=1 system=null
at +12s
expect span trace=1 : prompt_hash=bc08b15e1d66 prompt_name=null prompt_version=null
expect scores where trace=1 prompt_version=bc08b15e1d66 count 1
expect scores where prompt_version=bc08b15e1d66 count 1
expect span trace=3 : prompt_hash=bc08b15e1d66 prompt_name=capital prompt_version=7
expect scores where trace=3 prompt_name=capital prompt_version=7 count 1
expect scores where trace=4 prompt_version=null count 1
