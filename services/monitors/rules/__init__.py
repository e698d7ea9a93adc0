"""RuleService: the system of record for rules, alerts and monitors."""
