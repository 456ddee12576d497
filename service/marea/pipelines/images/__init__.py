"""Images under Pillow. One file per step, one public function per file, of the step's name.

To add one more step: write `<step>.py` with `def <step>(image, *, ...)`, and declare it with
its parameters in `steps.py`. The step tables, `geometry`, `formats` and `image_pipeline` are
read while the catalog loads and import no Pillow; everything else is imported by the first run.
"""
