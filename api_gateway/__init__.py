"""The door: HTTP in, durable 202 out."""
