"""The object store port (`object_store.py`) and its adapters: `s3.py`, `memory.py`.

Not a general S3 client: only what the promises need. Only `s3.py` imports boto3. To add an
adapter, implement `ObjectStore` and pass `tests/contract/test_object_store.py`.
"""
