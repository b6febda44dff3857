"""The command line, `gateway-batch`."""
