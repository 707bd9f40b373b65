"""Luna beside other job systems on one Redis. `make bench` runs it; the README here says what is measured, and how."""
