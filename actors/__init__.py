"""The business: what events exist, and what happens on each.

To add an event:

1. say what it holds: a `Contract` in `actors/events.py`;
2. say where it goes: a row in `actors/routes.py`;
3. say what happens: a function marked `@handler("noun.verb")` in the slice of that noun;
4. say how you know: a test beside the others.
Nothing else: the gateway validates it, the worker runs it, `luna events types` lists it.
"""
