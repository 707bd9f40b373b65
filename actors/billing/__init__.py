"""Billing: what LemonSqueezy tells of subscriptions, and the plan that a user has by them.

The plan is not stored beside the user: it follows from the subscriptions at the moment somebody asks
(`store.plan_of`), so a subscription and the plan can never disagree, and a cancelled one ends without anybody's doing.
A profile is read in the gateway from two stores, that of users and this one; neither slice imports the other.
"""
