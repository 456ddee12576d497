"""What an autoscaler would have done: a discrete-event simulation of pools under one trace.

`trace` and `traces` say what arrives, `world` and `pool` play the broker, the Deployment and its
pods, `scalers/` holds one scaler a file (ours is the real policy, fed with what it could know),
`runs` plays a trace under a scaler, `score` and `table` judge, `picture` and `report` show.

Nothing here talks to a server or reads a clock; all randomness comes from a seed.
"""
