"""The page on which a person adds a channel, reached by a link that RuleService has signed."""
