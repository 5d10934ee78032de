"""Say a text with espeak-ng, with a pronunciation given or by its own rules, and put noise on it."""

from __future__ import annotations

import subprocess
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz; what NeMo's models take."""
_NOISE_COLOUR = (0.5, 0.3, 0.2)
_LOUDEST = 0.98

# IPA, General American → espeak-ng's phoneme names, which its English voices share.
_PHONEMES = {
    **{"ɑːɹ": "A@", "ɔːɹ": "o@", "tʃ": "tS", "dʒ": "dZ", "oʊ": "oU", "eɪ": "eI", "aɪ": "aI"},
    **{"iː": "i:", "uː": "u:", "i": "i", "ɪ": "I", "ɛ": "E", "æ": "a", "ɑ": "0", "ə": "@", "ʌ": "V"},
    **{"ɹ": "r", "ŋ": "N", "θ": "T", "ʃ": "S", "ɡ": "g", "j": "j", "ˈ": "'", "ˌ": ","},
    **{letter: letter for letter in "bdfhklmnpstvwz"},
}
_LONGEST = max(map(len, _PHONEMES))


def phonemes(ipa: str) -> str:
    """espeak-ng's phoneme names for an IPA transcription. Raises ValueError for a sign that is not known."""
    ipa = unicodedata.normalize("NFC", ipa)
    words = []
    for word in ipa.split():
        found, place = "", 0
        while place < len(word):
            for length in range(_LONGEST, 0, -1):
                sign = word[place : place + length]
                if sign in _PHONEMES:
                    found += _PHONEMES[sign]
                    place += len(sign)
                    break
            else:
                raise ValueError(f"{ipa}: {word[place]!r} is no sign this table knows")
        words.append(f"[[{found}]]")
    return " ".join(words)


def spoken(text: str, term: str, ipa: str) -> str:
    """The text as espeak-ng is given it: the term's pronunciation in its place, where one is given."""
    return text.replace(term, phonemes(ipa), 1) if ipa else text


def say(text: str, path: Path, *, voice: str, speed: int, pitch: int, noise: str, seed: int) -> float:
    """Write 16-bit mono speech; returns its seconds.

    `noise` is "clean" or "snr_<N>db"; the noise depends on `seed` alone.
    """
    import numpy as np
    import soundfile
    import soxr

    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), "--", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    start = wav.index(b"data") + 8
    rate = int.from_bytes(wav[24:28], "little")
    sound = np.frombuffer(wav[start : start + (len(wav) - start) // 2 * 2], "<i2").astype(np.float32) / 32768
    sound = soxr.resample(sound, rate, SAMPLE_RATE)
    if noise != "clean":
        sound = sound + _noise(sound, float(noise.removeprefix("snr_").removesuffix("db")), seed)
    sound *= min(1.0, _LOUDEST / float(np.max(np.abs(sound)) + 1e-9))
    soundfile.write(path, sound, SAMPLE_RATE, subtype="PCM_16")
    return round(len(sound) / SAMPLE_RATE, 4)


def _noise(sound: NDArray[Any], decibels: float, seed: int) -> NDArray[Any]:
    """Nearly white noise at a signal-to-noise ratio over the whole clip."""
    import numpy as np

    noise = np.random.default_rng(seed).standard_normal(len(sound)).astype(np.float32)
    noise = np.convolve(noise, _NOISE_COLOUR, "same").astype(np.float32)
    wanted = np.mean(sound**2) / 10 ** (decibels / 10)
    return noise * np.float32(np.sqrt(wanted / np.mean(noise**2)))
