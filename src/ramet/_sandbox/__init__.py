"""What a child that is not trusted may see, call and use."""
