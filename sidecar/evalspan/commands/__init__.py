"""The commands, one file each; each asks `evalspan.pipeline` and prints what it says."""
