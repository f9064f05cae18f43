"""The commands of `slimdp`, by what they are about: options, and the calls that they stand for.

They import what they need when they run: `--help` and bad options answer at once.
"""
