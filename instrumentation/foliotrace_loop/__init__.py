"""The production loop: from a badly rated run to a dataset row, an experiment and a gate.

Knows no web framework, no OpenTelemetry and no service: what answers, grounds, judges and stores
runs comes in through the Protocols of `ports`.
"""
