"""The compiled part of the vocabulary; where no C compiler is found the package goes without."""

from setuptools import Extension, setup

NATIVE = "src/hanhua/vocab/native/"

setup(
    ext_modules=[
        Extension(
            "hanhua.vocab._native",
            sources=[NATIVE + name for name in ("module.c", "count.c", "learn.c")],
            depends=[NATIVE + name for name in ("table.h", "symbols.h", "pairs.h")],
            extra_compile_args=["-O3", "-std=c11"],
            optional=True,
        )
    ]
)
