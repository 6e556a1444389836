"""Redis: budgets and caches shared by several processes."""
