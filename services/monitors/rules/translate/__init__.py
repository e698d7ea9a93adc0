"""Between the contract's messages and the model."""
