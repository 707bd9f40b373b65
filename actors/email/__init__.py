"""E-mail: which event sends which template, and one row that tells the truth about each delivery."""
