"""Tables under pandas on pyarrow. One file per step, one public function per file.

To add one more step: write `<step>.py`, and declare it with its parameters in `steps.py`.
`steps` and `table_pipeline` are read while the catalog loads and import no pandas.
"""
