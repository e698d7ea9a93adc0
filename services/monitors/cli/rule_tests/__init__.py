"""Unit tests of rules: made-up series go through the live evaluator, and what fires is compared with what should.

Nothing is asked of a mesh. This is the one part of the command that knows the services' models.
"""
