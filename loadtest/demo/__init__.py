"""The demo: photographs and tables go up, results come back, and nothing is taken on trust.

`python -m loadtest.demo` starts a whole platform with `marea up`, uploads the corpus with a
plain S3 client, watches the results bucket, draws a contact sheet and has the run audited and
checked. It knows Marea from outside only: the command line, the buckets, the documents.
"""
