"""Reads forms, a line of hexadecimal digits each, as werkzeug does, and prints for each the file name and the bytes
of its part "file" as JSON."""

import binascii
import io
import json
import sys

from werkzeug.formparser import FormDataParser

for line in sys.stdin:
    form = binascii.unhexlify(line.strip())
    parser = FormDataParser(silent=False)
    options = {"boundary": sys.argv[1]}
    _, _, files = parser.parse(io.BytesIO(form), "multipart/form-data", len(form), options)
    file = files["file"]
    print(json.dumps([file.filename, file.read().decode()]), flush=True)
