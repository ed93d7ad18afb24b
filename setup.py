"""The extension modules of the package, which setup.cfg cannot describe; everything else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            f"dialog_policy.compiled.{name}",
            [f"dialog_policy/compiled/{name}.c"],
            depends=["dialog_policy/compiled/objects.h", "dialog_policy/compiled/simd.h"],
            # Loops over numbers are turned into vectors; nobody asks for errors of the floating-point unit.
            extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math"],
            # Without a C compiler the package installs all the same, and does the same in Python.
            optional=True,
            py_limited_api=True,
        )
        for name in ("_lookup", "_step")
    ]
)
