"""Passes connections on: `relay.py FROM TO`, each `tcp:HOST:PORT` or `unix:PATH`. It ends with its standard input.

A Unix socket leads from the network of a page to that of the machine.
"""

import asyncio
import os
import sys


def place(text):
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return {"path": rest}
    host, _, port = rest.rpartition(":")
    return {"host": host, "port": int(port)}


async def main(source, target):
    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.close()

    async def passed_on(reader, writer):
        opened = asyncio.open_unix_connection if "path" in target else asyncio.open_connection
        try:
            other_reader, other_writer = await opened(**target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))
        other_writer.close()
        writer.close()

    serve = asyncio.start_unix_server if "path" in source else asyncio.start_server
    server = await serve(passed_on, **source)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    os._exit(0)


asyncio.run(main(*map(place, sys.argv[1:])))
