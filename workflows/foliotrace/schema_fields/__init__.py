"""What a schema asks for and how a text answers: shared by the extract journey and extractors."""
