"""The stored form of samples: one compressed block per series, tier and span of time. Pure.

A block is a zstandard frame with a checksum. It contains a JSON header with the format version, the number of samples
and the columns with their kinds, then the differences of the times, then one column after the other as little-endian
float32, byte-shuffled (all first bytes, all second bytes, ...), which halves what zstandard needs for it. Columns
without any value are left out. docs/decisions/0026 has the measurements.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection
from itertools import accumulate
from typing import Any

import orjson
import zstandard

from app.services.history.columns import COUNT_SUFFIX, MAX_SUFFIX, MIN_SUFFIX, Kind
from app.services.history.frames import Column, Frame, absent_column

FORMAT = 1
WIDTH = 4
MAX_BLOCK_BYTES = 8 * 1024 * 1024
GAUGE_SUFFIXES = ("", MIN_SUFFIX, MAX_SUFFIX, COUNT_SUFFIX)
# Names that headers are likely to have: the compressor refers to them, and 60 samples take a sixth less. Blocks of
# format 1 cannot be read with another text, so it never changes; newer columns are written in full.
_DICTIONARY = zstandard.ZstdCompressionDict(
    b'{"v":1,"n":60,"c":{"status":"r","elapsed":"r","power_watts":"g","voltage_volts":"g","fanspeed_rpm":"g",'
    b'"temperature_celsius":"g","hashrate_ghs":"g","free_heap_bytes":"g","core_voltage_actual_volts":"g",'
    b'"frequency_mhz":"g","efficiency":"g","temperature2_celsius":"g","vr_temperature_celsius":"g",'
    b'"expected_hashrate_ghs":"g","error_percent":"g","pool_response_seconds":"g","wifi_rssi_dbm":"g",'
    b'"current_amps":"l","uptime_seconds":"l","core_voltage_volts":"l","pool_difficulty":"l",'
    b'"free_heap_internal_bytes":"l","free_heap_spiram_bytes":"l","shares_accepted_total":"l",'
    b'"shares_rejected_total":"l","shares_accepted_rest":"l","shares_rejected_rest":"l",'
    b'"shares_accepted":"s","shares_rejected":"s","share_work":"s","share_seconds":"s",'
    b'"compared_expected_hashrate_ghs":"g",'
    b'"seconds_online":"s","seconds_stale":"s","seconds_offline":"s","seconds_restarting":"s",'
    b'"chip1_hashrate_ghs":"g","chip1_temperature_celsius":"g","chip1_errors":"s","chip2_hashrate_ghs":"g",'
    b'"chip2_temperature_celsius":"g","chip2_errors":"s"}}',
    dict_type=zstandard.DICT_TYPE_RAWCONTENT,
)


class BlockDamaged(Exception):
    """A stored block cannot be read; the message says why."""


class BlockCodec:
    """Encodes and decodes blocks. Not for use from several threads."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)
        self._compressors: dict[int, zstandard.ZstdCompressor] = {}

    def encode_block(self, frame: Frame, level: int) -> bytes:
        """Return the stored form. `level`: zstandard's, 3 for raw samples, 9 for what is kept for long."""
        kinds, parts = {}, []
        for name, kind in frame.kinds.items():
            names = _stored_names(name, kind, frame)
            if all(_is_absent(each, frame.columns[each]) for each in names):
                continue
            kinds[name] = kind.value if len(names) == 1 else kind.value.upper()
            parts += [_shuffle_bytes(_to_little_endian(frame.columns[each])) for each in names]
        deltas = array("I", [now - before for before, now in zip([0, *frame.times], frame.times, strict=False)])
        header = orjson.dumps({"v": FORMAT, "n": len(frame), "c": kinds})
        body = b"".join([header, b"\n", _shuffle_bytes(_to_little_endian(deltas)), *parts])
        if level not in self._compressors:
            self._compressors[level] = zstandard.ZstdCompressor(level, dict_data=_DICTIONARY, write_checksum=True)
        return self._compressors[level].compress(body)

    def decode_block(self, block: bytes, wanted: Collection[str] | None = None) -> Frame:
        """Return the samples, with the columns in `wanted` or all. Raises BlockDamaged."""
        try:
            if not 0 < zstandard.frame_content_size(block) <= MAX_BLOCK_BYTES:
                raise BlockDamaged("its size is not plausible")
            body = self._decompressor.decompress(block, allow_extra_data=False)
            end = body.index(b"\n")
            return _decode_columns(orjson.loads(body[:end]), memoryview(body)[end + 1 :], wanted)
        except (zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BlockDamaged(str(error)) from None


def _decode_columns(header: dict[str, Any], data: memoryview, wanted: Collection[str] | None) -> Frame:
    if header["v"] != FORMAT:
        raise BlockDamaged(f"its format {header['v']} is not known to this version")
    size = header["n"] * WIDTH
    frame = Frame(array("I", accumulate(_from_little_endian("I", _unshuffle_bytes(data[:size])))))
    at = size
    for name, letter in header["c"].items():
        suffixes = GAUGE_SUFFIXES if letter == "G" else GAUGE_SUFFIXES[:1]
        if wanted is None or name in wanted:
            frame.kinds[name] = Kind(letter.lower())
            for suffix in suffixes:
                frame.columns[name + suffix] = _from_little_endian("f", _unshuffle_bytes(data[at : at + size]))
                at += size
        else:
            at += size * len(suffixes)
    if at != len(data) or any(len(column) != len(frame) for column in frame.columns.values()):
        raise BlockDamaged("its length does not match its header")
    return frame


def _stored_names(name: str, kind: Kind, frame: Frame) -> list[str]:
    is_summary = kind is Kind.GAUGE and name + COUNT_SUFFIX in frame.columns
    return [name + suffix for suffix in GAUGE_SUFFIXES] if is_summary else [name]


def _is_absent(name: str, values: Column) -> bool:
    return values.tobytes() == absent_column(name, len(values)).tobytes()


def _shuffle_bytes(data: bytes) -> bytes:
    return b"".join(data[byte::WIDTH] for byte in range(WIDTH))


def _unshuffle_bytes(data: memoryview) -> bytes:
    count = len(data) // WIDTH
    result = bytearray(len(data))
    for byte in range(WIDTH):
        result[byte::WIDTH] = data[byte * count : (byte + 1) * count]
    return bytes(result)


def _to_little_endian(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _from_little_endian(typecode: str, data: bytes) -> array[Any]:
    values = array(typecode, data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
