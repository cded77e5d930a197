"""A local server that stands in for public archives, and fails on request.

It answers ``/HOST/PATH`` as ``https://HOST/PATH`` would: Zenodo's REST API for records, web pages
that list folders, and files, whole or in ranges.
"""

import hashlib
import http.server
import json
import re
import threading
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote, unquote

from imc_helpers.data import download

PAGE = """<html><title>Index of {0}</title><pre><a href="?C=N;O=D">Name</a> <a href="../">Up</a>
{1}</pre>"""


class ArchiveServer:
    """Files by their addresses, ``host/path``; each request to one may meet a fault of its own."""

    def __init__(self):
        self.files, self.records, self.faults = {}, {}, defaultdict(list)
        self.log = []
        """Path and range of each request, in order."""
        self.url = ""
        self.ranges = True

    def __enter__(self):
        self._httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._httpd.daemon_threads = True
        threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        return self

    def __exit__(self, *_):
        self._httpd.shutdown()
        self._httpd.server_close()

    def zenodo(self, number, files, **metadata):
        """Publish a record; `files` are contents by name."""
        about = {"title": "A record", "license": {"id": "cc-by-4.0"}, **metadata}
        entries = []
        for name, content in files.items():
            path = f"zenodo.org/api/records/{number}/files/{quote(name, safe='')}/content"
            self.files[path] = content
            entries.append(
                {
                    "key": name,
                    "size": len(content),
                    "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                    "links": {"self": f"https://{path}"},
                }
            )
        self.records[f"zenodo.org/api/records/{number}"] = {"metadata": about, "files": entries}

    def folder(self, address, files):
        """Publish a folder that is listed; `address` is ``host/path/``."""
        for name, content in files.items():
            self.files[f"{address}{quote(name)}"] = content

    def asked(self, ending):
        """Return the ranges that were asked for of an address that ends so."""
        return [asked for path, asked in self.log if path.endswith(ending)]


@contextmanager
def in_place_of_all_others(monkeypatch):
    """Run a server that stands in for every other; nobody waits for long before asking again."""
    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_BACKOFF_S", 0.0)
    download._session.cache_clear()
    with ArchiveServer() as running:
        monkeypatch.setenv("IMC_BOOK_SERVER", running.url)
        yield running
    download._session.cache_clear()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, archive, *args):
        self.archive = archive
        super().__init__(*args)

    def do_GET(self):
        path = self.path.partition("?")[0].lstrip("/")
        asked = self.headers.get("Range")
        self.archive.log.append((path, asked))
        waiting = self.archive.faults[path]
        fault = waiting.pop(0) if waiting else None
        if path in self.archive.records:
            body = json.dumps(self.archive.records[path]).encode()
        elif path.endswith("/"):
            body = self._index(path)
        else:
            body = self.archive.files.get(path)
        if fault is not None:
            fault(self, body)
        elif body is None:
            self.answer(404, b"no such file")
        elif asked and self.archive.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.part(body, start)
        else:
            self.answer(200, body)

    def _index(self, path):
        names = sorted(f for f in self.archive.files if f.startswith(path))
        lines = [
            f'<a href="{name.removeprefix(path)}">{unquote(name.removeprefix(path))[:20]}..&gt;</a>'
            f"  2020-01-17 12:00  {len(self.archive.files[name]) / 1024:.1f}K\n"
            for name in names
            if "/" not in name.removeprefix(path)
        ]
        return PAGE.format(path, "".join(lines)).encode()

    def part(self, body, start):
        self.answer(206, body[start:], Range=f"bytes {start}-{len(body) - 1}/{len(body)}")

    def answer(self, status, body=b"", length=None, **headers):
        """Send a reply; `length` is what it announces, where that is not true."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header({"Range": "Content-Range"}.get(name, name.replace("_", "-")), value)
        if length is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


def cut(size):
    """Break the connection off after some bytes."""
    return lambda handler, body: handler.answer(200, body[:size], len(body))


def status(code, **headers):
    """Answer with a status."""
    return lambda handler, _: handler.answer(code, b"", **headers)


def instead(content):
    """Send other content, whole."""
    return lambda handler, _: handler.answer(200, content)
