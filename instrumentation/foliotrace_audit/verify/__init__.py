"""The read side: is the log what its writers wrote, and what proves it?"""
