"""Many evaluators that come, go, freeze and are cut off, under a load of rules that fire and resolve.

`make scale` runs it for minutes; a short form is a test.
"""
