"""Training of learned schedulers, on the surrogate or for real; tuning of their settings and of rules."""
