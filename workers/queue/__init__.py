"""The queue: the Dramatiq broker, the publisher that stores an event once, its middleware, and the event ledger."""
