"""One training loop for all five methods, and what it is made of, a module a part."""
