"""The spellings of a condition: text for people, the first product's JSON, the canonical text, and plain words."""
