"""What a question is about, and whether the collection holds it."""
