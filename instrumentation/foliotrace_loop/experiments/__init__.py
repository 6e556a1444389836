"""Experiments: a suite is evaluated, two experiments are compared, the gate decides."""
