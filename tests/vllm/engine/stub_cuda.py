#!/usr/bin/env python3
"""Lets PyPI's torch, a CUDA build, be imported without NVIDIA's large libraries.

    stub_cuda.py SITE_PACKAGES/torch/lib

torch names cuBLAS, cuDNN, NCCL and others (2.7 GB) as needed, and on a machine without a GPU calls none of them. For each
that is not installed this builds a library of the same name, whose functions all return 100 (cudaErrorNoDevice). Those of
NVIDIA's libraries that are installed (small ones, which torch does call) are left alone. Needs cc and readelf.
"""

import pathlib
import re
import subprocess
import sys

LIBRARY = re.compile(r"lib(cu|nccl|nvrtc|nvshmem|nvJit)")
FUNCTION = re.compile(r"(cublas|cudnn|cufft|curand|cusparse|cusolver|p?nccl|nvrtc|.*nvshmem|nvJitLink)")
# The driver's own library is opened at run time, never linked to.
DRIVER = "libcuda.so"


def readelf(*args):
    return subprocess.run(["readelf", *args], capture_output=True, text=True, check=True).stdout


def needed(path):
    """Names of the libraries that one is linked to."""
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-dW", path)))


def versions(path):
    """Version of symbols -> name of the library they are wanted from."""
    found, wanted_from = {}, None
    for line in readelf("-VW", path).splitlines():
        if match := re.search(r"Version: \d+  File: (\S+)", line):
            wanted_from = match[1]
        elif "Version symbols section" in line:
            wanted_from = None
        elif wanted_from and (match := re.search(r"  Name: (\S+)  Flags:", line)):
            found[match[1]] = wanted_from
    return found


def symbols(path):
    """(name, version, whether defined) of the symbols that other libraries can see or must bring."""
    for line in readelf("--dyn-syms", "-W", path).splitlines():
        columns = line.split()
        if len(columns) >= 8 and columns[0].endswith(":"):
            name, _, version = columns[7].partition("@")
            if columns[6] != "UND":
                yield name, "", True
            elif columns[4] == "GLOBAL":
                yield name, version.lstrip("@"), False


def build(path, by_version):
    """A library with these functions, in their versions."""
    names = [name for names in by_version.values() for name in sorted(names)]
    source, script = path.with_suffix(".s"), path.with_suffix(".map")
    source.write_text(
        "\t.text\nno_device:\n\tmovl $100, %eax\n\tret\n"
        + "".join(f'\t.globl "{n}"\n\t.type "{n}",@function\n\t.set "{n}", no_device\n' for n in names)
        + '\t.section .note.GNU-stack,"",@progbits\n'
    )
    blocks = {version: names for version, names in by_version.items() if version}
    script.write_text(
        "".join(f"{version} {{ global: {' '.join(f'{chr(34)}{n}{chr(34)};' for n in names)} }};\n" for version, names in blocks.items())
    )
    versioned = [f"-Wl,--version-script={script}"] if blocks else []
    subprocess.run(["cc", "-shared", "-nostdlib", "-o", path, f"-Wl,-soname,{path.name}", *versioned, source], check=True)
    source.unlink()
    script.unlink()


def main():
    torch = pathlib.Path(sys.argv[1])
    own = sorted(path for path in torch.glob("lib*.so*"))
    nvidias = sorted(path for path in (torch.parent.parent / "nvidia").rglob("*.so*"))
    installed = {path.name for path in own + nvidias}
    wanted = {name for path in own for name in needed(path) if LIBRARY.match(name) and not name.startswith(DRIVER)}
    missing = sorted(wanted - installed)
    if not missing:
        sys.exit("no library is missing: nothing to do")

    owner, undefined, defined = {}, {}, set()
    for path in own + nvidias:
        owner |= versions(path)
        for name, version, is_defined in symbols(path):
            defined.add(name) if is_defined else undefined.setdefault(name, version)
    # Functions without a version do not say where they come from; the loader takes them from anywhere.
    anywhere = next(name for name in missing if name not in owner.values())
    stubs = {name: {} for name in missing}
    for name, version in undefined.items():
        if not name or name in defined:
            continue
        library = owner.get(version) if version else anywhere if FUNCTION.match(name) else None
        if library in stubs:
            stubs[library].setdefault(version, []).append(name)
    for name, by_version in stubs.items():
        build(torch / name, by_version)
    count = sum(len(names) for by_version in stubs.values() for names in by_version.values())
    print(f"{len(missing)} stand-ins with {count} functions: {' '.join(missing)}")


if __name__ == "__main__":
    main()
