"""What a child sets up first: its options, a row for each, their checks, and the steps made from them."""
