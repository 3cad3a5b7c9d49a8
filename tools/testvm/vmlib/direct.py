# SPDX-License-Identifier: GPL-2.0-only
"""Writing an option ROM and a disk that boot an uncompressed kernel directly (see boot/loader.S)."""

import gzip
import lzma
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .build import compiled
from .cache import locked
from .errors import TestvmError
from .kernels import Kernel

SOURCE = Path(__file__).resolve().parent.parent / "boot" / "loader.S"
SECTOR = 512
CYLINDER = 16 * 63 * SECTOR

# Shared with boot/loader.S.
ROM_ADDRESS = 0xd0000
CODE_SIZE = 512
ROM_SIZE = 10 * SECTOR
PAGE_TABLES = 0x12000
MOST_PIECES = 41

CMDLINE = 0x20000
INITRD = 128 << 20

MIB = 1 << 20


@dataclass(frozen=True)
class Piece:
    """Bytes and the physical address they belong at."""

    address: int
    data: bytes


def _payload(image: bytes) -> bytes:
    """Return the compressed kernel that a bzImage carries."""
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * SECTOR + offset
    return image[start:start + length]


def _decompress(data: bytes) -> bytes:
    """Unpack by the magic number; behind the data, or with gzip at its end, stands the unpacked size (4 bytes)."""
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\xfd7zXZ"):
        return lzma.decompress(data[:-4])
    tools = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
    tool = tools.get(data[:4])
    if not tool:
        raise TestvmError(f"kernel compressed in an unknown way ({data[:4].hex()})")
    try:
        result = subprocess.run([tool, "-dc"], input=data[:-4], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise TestvmError(f"{tool} not found", hint=f"apt-get install {tool}") from error
    size = struct.unpack("<I", data[-4:])[0]
    if len(result.stdout) != size:
        raise TestvmError(f"{tool} cannot unpack the kernel: {result.stderr.decode().strip()}")
    return result.stdout


def vmlinux(kernel: Kernel) -> bytes:
    """Return the kernel's ELF file, unpacked once and kept beside its image."""
    path = kernel.root / "boot" / "vmlinux"
    with locked("kernels"):
        if not path.exists():
            data = _decompress(_payload(kernel.image.read_bytes()))
            scratch = path.with_suffix(".new")
            scratch.write_bytes(data)
            scratch.rename(path)
    return path.read_bytes()


def _segments(elf: bytes) -> tuple[int, list[Piece]]:
    """Return entry point and loadable segments of a 64-bit ELF file."""
    if elf[:5] != b"\x7fELF\x02":
        raise TestvmError("the unpacked kernel is no 64-bit ELF file")
    entry, offset = struct.unpack_from("<QQ", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54)
    pieces = []
    for index in range(count):
        kind, _, start, _, physical, length = struct.unpack_from("<IIQQQQ", elf, offset + index * size)
        if kind == 1 and length:
            pieces.append(Piece(physical, elf[start:start + length]))
    return entry, pieces


def _boot_params(image: bytes, cmdline: str, initrd: bytes) -> bytes:
    """Return the zero page: the image's setup header, completed as a boot loader does."""
    page = bytearray(4096)
    end = 0x202 + image[0x201]
    page[0x1f1:end] = image[0x1f1:end]
    struct.pack_into("<H", page, 0x1fa, 0xffff)         # vid_mode: as it is
    page[0x210] = 0xff                                  # type_of_loader: unregistered
    struct.pack_into("<II", page, 0x218, INITRD, len(initrd))
    struct.pack_into("<I", page, 0x228, CMDLINE)
    if len(cmdline) >= struct.unpack_from("<I", page, 0x238)[0]:
        raise TestvmError("the kernel's command line is too long", hint="shorten --append")
    return bytes(page)


def _page_tables() -> bytes:
    """Map the first 4 GiB one to one with 2 MiB pages."""
    table = PAGE_TABLES
    present_writable, large = 3, 0x80
    level4 = [table + 0x1000 | present_writable] + [0] * 511
    level3 = [table + 0x2000 + i * 0x1000 | present_writable for i in range(4)] + [0] * 508
    level2 = [i * 2 * MIB | present_writable | large for i in range(2048)]
    return struct.pack("<3072Q", *level4, *level3, *level2)


def write_boot(directory: Path, kernel: Kernel, initrd: bytes, cmdline: str, memory_mb: int) -> None:
    """Write boot.rom (code, zero page, list of pieces) and disk.img (the pieces)."""
    need = INITRD + len(initrd) + 64 * MIB
    if memory_mb * MIB < need:
        raise TestvmError(f"the machine needs at least {-(-need // MIB)} MiB of memory for this initrd",
                          hint="raise --memory")
    image = kernel.image.read_bytes()
    entry, pieces = _segments(vmlinux(kernel))
    pieces += [Piece(PAGE_TABLES, _page_tables()), Piece(CMDLINE, cmdline.encode() + b"\0"),
               Piece(INITRD, initrd)]
    if len(pieces) > MOST_PIECES:
        raise TestvmError("the kernel has too many segments")
    plan = bytearray(SECTOR)
    struct.pack_into("<Q", plan, SECTOR - 8, entry)
    where = 0
    with open(directory / "disk.img", "wb") as disk:
        for index, piece in enumerate(pieces):
            sectors = -(-len(piece.data) // SECTOR)
            struct.pack_into("<III", plan, index * 12, piece.address, where, sectors)
            disk.seek(where * SECTOR)
            disk.write(piece.data)
            where += sectors
        disk.truncate(-(-where * SECTOR // CYLINDER) * CYLINDER)

    code = compiled(SOURCE, ["-nostdlib", "-static",
                             f"-Wl,-Ttext={ROM_ADDRESS:#x},--oformat=binary,--build-id=none"])
    rom = bytearray(code + _boot_params(image, cmdline, initrd) + plan)
    assert len(code) == CODE_SIZE and len(rom) == ROM_SIZE
    rom[CODE_SIZE - 1] = -sum(rom) & 0xff
    (directory / "boot.rom").write_bytes(rom)
