"""Java's options for JVMs that live for minutes and share two cores."""

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""No optimizing compiler, which takes more of the processor's time than it saves, but all the room for compiled code
that there is with it: in the 48 MB that Java would give the quick one alone, Spark's code doesn't fit."""
