"""Off-policy estimates of this package beside Open Bandit Pipeline's, from the same logged data: ``scripts/compare-obp``."""
