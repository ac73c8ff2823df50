"""aitronos-sdk, unmodified, by base URL and key alone: synchronous, and asynchronous."""

import asyncio
import hashlib
import inspect
import json
import os

import httpx
from aitronos import Aitronos, AsyncAitronos
from aitronos.core.api_error import ApiError
from aitronos.errors.unprocessable_entity_error import UnprocessableEntityError

BASE, ORG = os.environ["BASE"], os.environ["ORG"]
LARGE = os.urandom(1 << 20) * 60


async def done(outcome):
    return await outcome if inspect.isawaitable(outcome) else outcome


async def refused(status, call):
    try:
        await done(call())
    except ApiError as error:
        assert error.status_code == status, (status, error.status_code, error.body)
        assert error.body["success"] is False, error.body
        return error
    raise AssertionError(f"{status} was expected")


async def run(make):
    files = make(os.environ["KEY"]).files
    small = await done(files.upload_file(ORG, files=[("a.txt", b"hello", "text/plain")]))
    assert (small.success, small.total_uploaded, small.total_failed) == (True, 1, None), small
    one = small.files[0]
    assert (one.original_filename, one.file_size, one.organization_id) == ("a.txt", 5, ORG), one
    assert one.uploaded_by_api_key_id, one

    several = [("отчёт 表.png", b"\x89PNG", "image/png"), ("b.txt", b"b"), ("c.txt", b"")]
    batch = await done(files.upload_file(ORG, files=several))
    assert [file.original_filename for file in batch.files] == ["отчёт 表.png", "b.txt", "c.txt"], batch
    assert batch.message == "3 of 3 files uploaded", batch

    large = await done(files.upload_file(ORG, files=[("large.bin", LARGE)]))
    assert large.files[0].file_size == len(LARGE)

    assert await done(files.get_file(ORG, one.id)) == one

    link = await done(files.get_file_content(ORG, large.files[0].id))
    assert link.file_size == len(LARGE) and link.filename == "large.bin"
    # `files.download_file_content` parses the bytes of a file as JSON. So the link is opened as a browser does,
    # and the client's own call with a file that is JSON.
    got = httpx.get(link.download_url, timeout=60).content
    assert hashlib.sha256(got).digest() == hashlib.sha256(LARGE).digest()
    text = json.dumps({"a": [1, "ж"]}).encode()
    batch = await done(files.upload_file(ORG, files=[("a.json", text)]))
    link = await done(files.get_file_content(ORG, batch.files[0].id))
    extra = link.model_extra
    opened = files.download_file_content(ORG, link.file_id, token=extra["token"], expires=extra["expires"])
    assert await done(opened) == json.loads(text)

    seen, page = [], 1
    while True:
        listed = await done(files.list_files(ORG, page=page, limit=50))
        seen += [file.id for file in listed.files]
        if not listed.has_more:
            break
        page += 1
    assert len(seen) == len(set(seen)) == listed.total >= 250, (len(seen), listed.total)
    assert one.id in seen

    await done(files.delete_file(ORG, one.id))
    await refused(404, lambda: files.get_file(ORG, one.id))
    await refused(404, lambda: files.delete_file(ORG, one.id))
    await refused(401, lambda: make("wrong").files.list_files(ORG))
    await refused(403, lambda: make(os.environ["READ_KEY"]).files.upload_file(ORG, files=[("a", b"a")]))
    await refused(403, lambda: files.list_files("org_of_nobody"))
    for call in [
        lambda: files.list_files(ORG, limit=101),
        lambda: files.upload_file(ORG, files=[("a", b"a")] * 11),
    ]:
        error = await refused(422, call)
        assert isinstance(error, UnprocessableEntityError), error
    after = await done(files.list_files(ORG))
    assert after.total == listed.total - 1, "nothing of a refused upload is there"


for client in [Aitronos, AsyncAitronos]:
    asyncio.run(run(lambda key, client=client: client(base_url=BASE, api_key=key)))
    print(client.__name__, "ok")
