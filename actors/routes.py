"""Where does this event go? One table, as data. Queues are consumed by the process types of the Procfile."""

from __future__ import annotations

from workers.event import Route

USERS_CREATE = Route("users.create", queue="users")
USERS_UPDATE = Route("users.update", queue="users")
USERS_CLOSE = Route("users.close", queue="users")
BILLING_APPLY = Route("billing.apply", queue="billing")
CACHE_INVALIDATE = Route("cache.invalidate", queue="cache")
EMAIL_DELIVER = Route("email.deliver", queue="email")
RUN_JOB = Route("maintenance.run_job", queue="maintenance")
RUN_TASK = Route("maintenance.run_task", queue="maintenance")
WORK_OPERATION = Route("maintenance.work_operation", queue="maintenance")

# An event from outside has exactly one route, so that half of it can never be accepted; fan-out is by follow-ups.
ROUTES: dict[str, tuple[Route, ...]] = {
    "user.signed_up": (USERS_CREATE,),
    "user.profile_changed": (USERS_UPDATE,),
    "user.closed": (USERS_CLOSE,),
    "user.created": (EMAIL_DELIVER, CACHE_INVALIDATE),
    "user.updated": (CACHE_INVALIDATE,),
    "user.deleted": (CACHE_INVALIDATE,),
    "payment.received": (BILLING_APPLY,),
    "subscription.changed": (CACHE_INVALIDATE,),
    "email.requested": (EMAIL_DELIVER,),
    "cache.invalidation_requested": (CACHE_INVALIDATE,),
    "job.due": (RUN_JOB,),
    "job.task_due": (RUN_TASK,),
    "operation.slice_due": (WORK_OPERATION,),
}

QUEUE_OF: dict[str, str] = {route.actor: route.queue for routes in ROUTES.values() for route in routes}
"""Actor to queue."""

QUEUES: tuple[str, ...] = tuple(sorted(set(QUEUE_OF.values())))
