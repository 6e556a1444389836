"""Conversations: a follow-up question is rewritten so that it stands alone."""
