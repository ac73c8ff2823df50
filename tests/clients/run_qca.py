"""qca-sdk, unmodified, by base URL and token alone: its `Managed` clients, synchronous and asynchronous, and the
`Forward` client's upload, which sends an idempotency key and may repeat it."""

import asyncio
import hashlib
import inspect
import os

from qca.common import _exceptions as errors
from qca.forward import Forward
from qca.managed import AsyncManaged, Managed

BASE = os.environ["BASE"] + "/api/v1/cloud"
LARGE = os.urandom(1 << 20) * 60


async def done(outcome):
    return await outcome if inspect.isawaitable(outcome) else outcome


async def all_of(page):
    page = await done(page)
    if hasattr(page, "__aiter__"):
        return [file async for file in page]
    return list(page)


async def refused(status, call):
    try:
        await done(call())
    except errors.APIStatusError as error:
        assert error.status_code == status, (status, error.status_code, error.body)
        assert error.body["request_id"] == error.request_id, error.body
        assert error.type, error.body
        return error
    raise AssertionError(f"{status} was expected")


async def run(make):
    files = make(os.environ["KEY"]).files
    tool = {"purpose": "tool_output"}
    small = await done(files.upload(file=("a.txt", b"hello"), metadata={"project": "demo"}))
    assert small.id and small.type == "file" and small.status == "ready", small
    assert (small.filename, small.size_bytes, small.metadata) == ("a.txt", 5, {"project": "demo"}), small
    assert (small.downloadable, small.scope, small.expires_at) == (False, None, None), small

    named = await done(files.upload(file=("x", b"\x89PNG"), name="отчёт 表.png", metadata=None, expires_in_seconds=None))
    assert named.filename == "отчёт 表.png" and named.metadata == {}, named
    brief = await done(files.upload(file=("brief.txt", b"x"), expires_in_seconds=3_600))
    assert (brief.expires_at - brief.created_at).total_seconds() in (3_600, 3_601), brief
    several = await asyncio.gather(*(done(files.upload(file=("same.txt", b"x"))) for _ in range(3)))
    large = await done(files.upload(file=("large.bin", LARGE), extra_body=tool))
    assert large.downloadable and large.size_bytes == len(LARGE), large

    found = await done(files.retrieve_metadata(small.id))
    assert found.model_dump() == small.model_dump(), found
    answer = await done(files.download(large.id))
    got = await done(answer.read())
    assert hashlib.sha256(got).digest() == hashlib.sha256(LARGE).digest()
    error = await refused(403, lambda: files.download(small.id))
    assert isinstance(error, errors.PermissionDeniedError)

    everything = await all_of(files.list())
    ids = [file.id for file in everything]
    assert len(ids) == len(set(ids)) >= 250, len(ids)
    assert ids == [file.id for file in await all_of(files.list(limit=1000))]
    first = await done(files.list(limit=5))
    assert (len(first.data), first.has_more, first.next_page) == (5, True, f"page_{ids[4]}"), first
    after = await done(files.list(limit=2, after_id=ids[4]))
    assert [file.id for file in after.data] == ids[5:7]
    before = await done(files.list(limit=2, before_id=ids[4]))
    assert [file.id for file in before.data] == ids[2:4]

    same = await all_of(files.list(name="same.txt", limit=2))
    assert {file.id for file in same} >= {file.id for file in several}, same
    assert {file.filename for file in same} == {"same.txt"}
    assert await all_of(files.list(name="nobody.txt")) == []
    assert await all_of(files.list(scope_id="session_1")) == []
    some = await all_of(files.list(i_ds=[small.id, "file_nobody", large.id]))
    assert [file.id for file in some] == [large.id, small.id], some

    # The loop that took everything with it where a filter was ignored.
    for file in await all_of(files.list(name="same.txt")):
        gone = await done(files.delete(file.id))
        assert (gone.id, gone.type) == (file.id, "file_deleted"), gone
    left = [file.id for file in await all_of(files.list())]
    assert len(left) == len(ids) - len(same) and small.id in left, len(left)

    error = await refused(404, lambda: files.retrieve_metadata(several[0].id))
    assert isinstance(error, errors.NotFoundError)
    await refused(404, lambda: files.delete(several[0].id))
    error = await refused(401, lambda: make("wrong").files.list())
    assert isinstance(error, errors.AuthenticationError)
    await refused(403, lambda: make(os.environ["READ_KEY"]).files.upload(file=("a", b"a")))
    for call in [
        lambda: files.list(limit=1_001),
        lambda: files.list(page="nonsense"),
        lambda: files.list(extra_query={"purpose": "tool_output"}),
        lambda: files.upload(file=("a", b"a"), expires_in_seconds=0),
    ]:
        # This API has no 422: what is wrong with a field is 400.
        error = await refused(400, call)
        assert isinstance(error, errors.BadRequestError), error


for client in [Managed, AsyncManaged]:
    asyncio.run(run(lambda key, client=client: client(pat=key, base_url=BASE)))
    print(client.__name__, "ok")

forward = Forward(pat=os.environ["KEY"], base_url=BASE)
once = forward.files.upload(file=("once.txt", b"once"), purpose="tool_output")
assert forward.files.download(once.id).read() == b"once"
forward.files.delete(once.id)
print("Forward ok")
