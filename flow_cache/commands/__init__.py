"""What each command of `python -m flow_cache` takes, and does.

They import what they need when they run: `--help` and bad options answer at once.
"""
