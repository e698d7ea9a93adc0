"""`monitors import`: takes over the rules that a team made with the first product."""
