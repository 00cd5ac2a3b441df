"""`python -m pipeline.serve`: a local page that scores pictures."""
