"""Java's options for JVMs that live for minutes and share two cores."""

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""The optimizing compiler would take more of the processor's time than it saves."""
