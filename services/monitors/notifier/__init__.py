"""NotifierService: tells people what happened."""
