"""The compiled parts of vocabulary, text and model; without a C compiler the package goes without."""

from pathlib import Path

from setuptools import Extension, setup


NUMBERS = [
    "-ffp-contract=fast", "-fopenmp-simd", "-fno-trapping-math", "-fno-math-errno", "-Wno-psabi",
]  # fmt: skip
"""What compilers may do to sums of numbers: nothing here asks for traps or errno, nor hands vectors
to other files."""


def _part(package: str, *options: str) -> Extension:
    """The files of one package's ``native`` folder; optional, as each has a slower double."""
    folder = Path("src/hanhua") / package / "native"
    return Extension(
        f"hanhua.{package}._native",
        sources=sorted(str(path) for path in folder.glob("*.c")),
        depends=sorted(str(path) for path in folder.glob("*.h")),
        extra_compile_args=["-O3", "-std=c11", *options],
        optional=True,
    )


setup(ext_modules=[_part("vocab"), _part("text"), _part("model", *NUMBERS)])
