"""The stores of RuleService and of the notifier, on each database, beside the same rows through its plain driver."""
