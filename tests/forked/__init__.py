"""Starts `monitors …` or `monitors-mcp …` as a process of its own, without importing everything anew: importing is most
of what a command costs, and a run of the tests starts hundreds.

A process that has imported the product and done nothing else (`origin`) forks for each command. The command has its own
environment, arguments, folder and files, and ends as it would otherwise. A test of importing itself, of memory, or of a
command that stands in front of ours uses `subprocess`.
"""

from tests.forked.launching import Forked as Forked
from tests.forked.launching import fork as fork
from tests.forked.launching import launch as launch
from tests.forked.launching import run as run
