"""The report of a load run: a page and a picture that tell, each by itself, what happened."""
