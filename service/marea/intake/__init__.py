"""What stores tell of uploads, turned into `UploadEvent`s. Pure: bytes in, values out.

`s3_notification.py` opens the envelopes, `records.py` reads one record in one dialect,
`bounded_json.py` refuses what would cost too much before it is built. To add a dialect: add
it to `records.DIALECTS` with how it spells keys, and a recorded body to its tests.
"""
