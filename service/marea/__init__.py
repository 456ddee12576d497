"""Marea: drop a file in a bucket; its results appear in a bucket.

The journey of one upload:

1. a client PUTs an object into a source bucket;
2. the store tells the `gateway` (an event is a hint; the bucket is the truth);
3. `intake` turns the body into `UploadEvent`s, `routing` turns those into `Job`s;
4. the gateway publishes each job, confirmed by the broker, before it answers 2xx;
5. a `worker` claims the job in the ledger, reads exactly that version, runs the pipeline;
6. it commits artifacts by compare-and-swap, then the terminal record, then acknowledges;
7. the `reconciler` compares the bucket's listing with the records and republishes what
   no event or broker delivered;
8. notifications leave from an outbox, and never hold a worker.
"""

__version__ = "0.1.0"
