"""How fast it is: fixed workloads, rivals in the same run, ratios."""
