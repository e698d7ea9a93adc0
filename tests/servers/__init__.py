"""Real servers, and doubles of those that there is no package for, started by the tests that need them."""
