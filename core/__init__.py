"""Which frames a model gets, what they cost, and how they reach it; knows nothing of pages."""
