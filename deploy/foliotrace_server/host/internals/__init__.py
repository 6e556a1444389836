"""The only modules with private names of llama-agents-server 0.8 and llama-index-workflows 2.26.

tests/contracts/test_llama_agents_internals.py checks each of these names and the behaviour relied
on, so that an upgrade fails there and not in production.
"""
