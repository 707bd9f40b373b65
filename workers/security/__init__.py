"""Who may do what: tokens, API keys and scopes."""
