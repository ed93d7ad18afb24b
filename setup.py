"""The extension module of the package, which setup.cfg cannot describe; everything else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "dialog_policy.text._lookup",
            ["dialog_policy/text/_lookup.c"],
            # Without a C compiler the package installs all the same, and looks terms up in Python.
            optional=True,
            py_limited_api=True,
        )
    ]
)
