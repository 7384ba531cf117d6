"""Clients that reset their connection in the middle of a stream: no noise, no harm to others."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from .conftest import read_until, wait_until
from .test_api import TEXT

CHOICES, CLIENTS, ROUNDS = 16, 4, 3
"""Of a request; at once; one after another. Many choices make many pieces wait to be sent."""


def leave_amid_a_stream(address: tuple[str, int], reads: int) -> int:
    """Ask for a long stream, read so many pieces, reset; returns the bytes that had come."""
    body = {"prompt": "Tom", "max_tokens": 400, "n": CHOICES, "stream": True, "temperature": 1}
    data = json.dumps(body).encode()
    head = f"POST {TEXT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        came = sum(len(connection.recv(4096)) for _ in range(reads))
        # no time for what is under way: closing sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return came


def test_resets_amid_streams_leave_no_noise(chat_folder: Path) -> None:
    code = "from hanhua.cli import main; main()"
    options = ["--port", "0", "--max-running", str(CHOICES * CLIENTS), "--threads", "1"]
    command = [sys.executable, "-c", code, "serve", str(chat_folder), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = read_until(process, "API: ")
            found = re.search(r"http://([\d.]+):(\d+)", said)
            assert found
            address = (found[1], int(found[2]))
            rest: list[str] = []
            reader = threading.Thread(target=lambda: rest.extend(process.stderr))
            reader.start()
            with ThreadPoolExecutor(CLIENTS) as pool:
                came = [*pool.map(lambda i: leave_amid_a_stream(address, 2 + i % 7),
                                  range(CLIENTS * ROUNDS))]  # fmt: skip
            assert all(size > 500 for size in came)  # all left amid their streams
            url = f"http://{found[1]}:{found[2]}"
            with httpx.Client(base_url=url, timeout=60) as client:
                answer = client.post(TEXT, json={"prompt": "Tom", "max_tokens": 3})
                assert answer.status_code == 200
                wait_until(lambda: "\nhanhua_running 0\n" in client.get("/metrics").text)
            process.terminate()
            process.wait(30)
            reader.join(10)
        finally:
            process.kill()
    assert "socket.send()" not in "".join(rest)
    assert not rest, "".join(rest)[:3000]
