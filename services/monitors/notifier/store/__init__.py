"""What the notifier remembers: channels, deliveries with their attempts, and answers to repeated requests.

All functions run inside of a transaction on a database thread; each takes the session first and the time as argument.
"""
