"""What tests of the voice share: sounds made here, and the length of any."""

import io
import math
import os
import shutil
import struct
import wave

import httpx
import pytest

RATE = 22_050


def tone(seconds: float, *, hz: float = 440, rate: int = RATE) -> bytes:
    """Return a WAV of one tone."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        steps = (math.sin(2 * math.pi * hz * i / rate) for i in range(int(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", int(9_000 * each)) for each in steps))
    return out.getvalue()


def seconds_of(wav: bytes) -> float:
    """Return how long a WAV is, if its header says what its bytes are."""
    assert wav[:4] == b"RIFF"
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8
    with wave.open(io.BytesIO(wav)) as file:
        assert len(file.readframes(file.getnframes())) == file.getnframes() * file.getsampwidth()
        return file.getnframes() / file.getframerate()


def put_clip(
    client: httpx.Client,
    branch_id: int,
    key: str,
    sound: bytes,
    *,
    language: str = "vi",
    media_type: str = "audio/wav",
) -> httpx.Response:
    """Upload a clip."""
    return client.put(
        f"/app/voice/clips/{branch_id}/{language}/{key}",
        content=sound,
        headers={"Content-Type": media_type},
    )


def need_espeak() -> str:
    """Return the real program; skip without it, fail where a missing server fails."""
    program = shutil.which("espeak-ng")
    if program is None:
        reason = "espeak-ng is not installed (Debian: espeak-ng)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program
