"""Mutators: one file each; the file name is the registration.

A mutator is a function `(prompt, *, …)` that returns a list of `Proposal`, plain
or async. By the names of its keyword parameters it is handed `search` (a
`SearchCases`: replayed cases of the search part), `ask`, `finding` (the cause,
in words) and `count` (how many proposals are wanted); its other keyword
parameters are its settings and have defaults.
"""
