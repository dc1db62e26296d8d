"""The caller's side of a template: how it starts, what calls ask for, and the children that run them."""
