"""`index_proxy.py PORT SECONDS HOST…`: let a build reach these hosts over TLS, and nothing else.

It knows the method CONNECT, port 443, and the hosts that it was given. What a build asks for otherwise gets 403, so
that pip says what happened.
"""

import asyncio
import signal
import sys

MAX_HEAD = 8192
MAX_CONNECTIONS = 64
MAX_BYTES = 2 << 30
REFUSED = b"HTTP/1.1 403 Only package indexes\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
FAILED = b"HTTP/1.1 502 Not reached\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """The hosts that may be reached, and how much came through."""

    def __init__(self, hosts):
        self.hosts, self.open, self.bytes = set(hosts), 0, 0

    async def serve(self, reader, writer):
        """One connection."""
        self.open += 1
        try:
            if self.open <= MAX_CONNECTIONS:
                await self.tunnel(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def tunnel(self, reader, writer):
        """Read what is asked for, and join the two sides if it may be."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        words = head.split(b"\r\n")[0].decode("latin-1").split(" ")
        host, _, port = (words[1] if len(words) == 3 else "").rpartition(":")
        if words[0] != "CONNECT" or port != "443" or host.lower() not in self.hosts:
            print("refused", " ".join(words[:2])[:200], flush=True)
            writer.write(REFUSED)
            await writer.drain()
            return
        try:
            there, out = await asyncio.wait_for(asyncio.open_connection(host, 443), 20)
        except (TimeoutError, OSError):
            writer.write(FAILED)
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        try:
            pumps = [asyncio.ensure_future(self.pump(reader, out)), asyncio.ensure_future(self.pump(there, writer))]
            _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED, timeout=900)
            for pump in left:
                pump.cancel()
        finally:
            out.close()

    async def pump(self, source, target):
        """Carry bytes one way."""
        while data := await source.read(1 << 16):
            self.bytes += len(data)
            if self.bytes > MAX_BYTES:
                return
            target.write(data)
            await target.drain()


async def main():
    """Serve until told to stop, or for so long."""
    proxy = Proxy(host.lower() for host in sys.argv[3:])
    server = await asyncio.start_server(proxy.serve, "0.0.0.0", int(sys.argv[1]), limit=MAX_HEAD)
    print("ready", flush=True)
    async with server:
        await asyncio.wait([asyncio.ensure_future(server.serve_forever())], timeout=float(sys.argv[2]))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(main())
