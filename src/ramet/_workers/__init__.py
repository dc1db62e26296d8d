"""Templates and executors: a fresh process for every call, cloned from one that has all loaded."""
