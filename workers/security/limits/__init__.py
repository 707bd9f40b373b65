"""Rate limits in layers: which buckets a request draws on, and whether all of them have room."""

from workers.security.limits.decision import Decision, Standing
from workers.security.limits.limiter import Limiter
from workers.security.limits.policies import Bucket, Limits, Policy

__all__ = ["Bucket", "Decision", "Limiter", "Limits", "Policy", "Standing"]
