"""Harnesses that measure speed and statistical validity; part of the source checkout, not of the installed package."""
