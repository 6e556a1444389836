"""Inputs and outputs of calls on their spans, where content is switched on."""
