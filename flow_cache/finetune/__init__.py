"""RAFT learns from the flow of a store: samples, the loop, and what it gains on videos held out."""
