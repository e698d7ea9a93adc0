"""What RuleService remembers. Only here is SQLAlchemy known; each function runs inside of a transaction it is given."""
