"""Short programs, each a real use; the tests run them all."""
