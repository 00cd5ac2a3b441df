"""`python -m pipeline.report`: tables and plots of all runs, published numbers beside ours."""
