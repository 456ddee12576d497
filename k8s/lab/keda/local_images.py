"""KEDA's own manifests (stdin) for the lab (stdout): the images that `lab keda` made, and neither
the admission webhooks nor what serves them, which needs a certificate from elsewhere.
"""

import re
import sys

IMAGES = {
    r"\S+/keda-metrics-apiserver:\S+": "lab/keda-adapter:1",
    r"\S+/kedacore/keda:\S+": "lab/keda-operator:1",
}


def is_wanted(document: str) -> bool:
    kind = re.search(r"^kind: (\S+)", document, re.MULTILINE)
    name = re.search(r"^  name: (\S+)", document, re.MULTILINE)
    if kind is None or kind[1] == "ValidatingWebhookConfiguration":
        return False
    return (kind[1], name and name[1]) != ("Deployment", "keda-admission")


def localised(document: str) -> str:
    for pattern, image in IMAGES.items():
        document = re.sub(f"image: {pattern}", f"image: {image}", document)
    document = re.sub(r"^(\s+)- /keda-adapter$", r"\1- /keda", document, flags=re.MULTILINE)
    return document.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent")


for text in re.split(r"^---\n", sys.stdin.read(), flags=re.MULTILINE):
    if is_wanted(text):
        sys.stdout.write("---\n" + localised(text))
