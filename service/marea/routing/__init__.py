"""Which pipelines an upload goes through: a rule table, and the plan it makes of each upload.

Pure: no I/O, no clock, no logging; the same facts always give the same plan, so the gateway,
the reconciler's sweep and `marea route test` agree. `route.py` has the types, `table.py` loads
the rules, `route_table.py` makes the plans. To add a condition: a function in `conditions.py`
that builds it, its field in `rule_fields.WHEN_FIELDS`, a row in `docs/rules.md`, and a test of
its three answers.
"""
