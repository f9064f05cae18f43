"""What each command of `python -m flow_cache` takes, and does."""
