"""What is run by hand or by make: the demo, the benchmark, how .venv is made."""
