"""freddy-backend-client, unmodified, by base URL and key alone: synchronous, and asynchronous."""

import asyncio
import hashlib
import inspect
import io
import os

from freddy_client.api.files import (
    delete_file_v1_organizations_organization_id_files_file_id_delete as delete_file,
    get_file_v1_organizations_organization_id_files_file_id_get as get_file,
    list_files_v1_organizations_organization_id_files_get as list_files,
    upload_file_v1_organizations_organization_id_files_upload_post as upload_file,
)
from freddy_client.client import Client
from freddy_client.models import BodyUploadFileV1OrganizationsOrganizationIdFilesUploadPost as Body
from freddy_client.types import File

BASE, ORG = os.environ["BASE"], os.environ["ORG"]
LARGE = os.urandom(1 << 20) * 60


def client(key):
    return Client(base_url=BASE, headers={"X-API-Key": key}, timeout=60)


async def run(way):
    async def call(module, *words, key=os.environ["KEY"], **more):
        outcome = getattr(module, way)(*words, client=client(key), **more)
        return await outcome if inspect.isawaitable(outcome) else outcome

    async def upload(name, content, **more):
        body = Body(file=File(payload=io.BytesIO(content), file_name=name))
        return await call(upload_file, ORG, body=body, **more)

    small = await upload("a.txt", b"hello")
    assert small.status_code == 201, small
    one = small.parsed
    assert (one.original_filename, one.file_size, one.organization_id) == ("a.txt", 5, ORG), one
    unicode = await upload("отчёт 表.png", b"\x89PNG")
    assert unicode.parsed.original_filename == "отчёт 表.png", unicode
    large = await upload("large.bin", LARGE)
    assert large.parsed.file_size == len(LARGE), large

    found = await call(get_file, ORG, one.id)
    assert found.parsed == one, found
    # The client has no call that mints: its own HTTP client asks for the link.
    http = client(os.environ["KEY"]).get_httpx_client()
    link = http.get(f"/v1/organizations/{ORG}/files/{large.parsed.id}/content").json()
    got = client("").get_httpx_client().get(link["download_url"]).content
    assert hashlib.sha256(got).digest() == hashlib.sha256(LARGE).digest()

    seen, page = [], 1
    while True:
        listed = (await call(list_files, ORG, page=page, limit=100)).parsed
        seen += [file.id for file in listed.files]
        if not listed.has_more:
            break
        page += 1
    assert len(seen) == len(set(seen)) == listed.total >= 250, (len(seen), listed.total)

    assert (await call(delete_file, ORG, one.id)).status_code == 204
    assert (await call(get_file, ORG, one.id)).status_code == 404
    assert (await call(delete_file, ORG, one.id)).status_code == 404
    assert (await call(list_files, ORG, key="wrong")).status_code == 401
    assert (await upload("a", b"a", key=os.environ["READ_KEY"])).status_code == 403
    assert (await call(list_files, "org_of_nobody")).status_code == 403
    wrong = await call(list_files, ORG, limit=101)
    assert wrong.status_code == 422, wrong


for way in ["sync_detailed", "asyncio_detailed"]:
    asyncio.run(run(way))
    print(way, "ok")
