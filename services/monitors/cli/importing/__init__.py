"""`monitors import`: takes over the rules and past alerts that a team has with the first product."""
