"""What crosses between a caller, its template and the clones of that, and how."""
