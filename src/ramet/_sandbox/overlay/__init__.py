"""What a child writes goes to a layer, which is read, taken over or thrown away."""
