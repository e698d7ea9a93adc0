"""EvaluatorService: takes points, keeps them, and decides which rules fire."""
