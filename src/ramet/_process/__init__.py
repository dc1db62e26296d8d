"""One child, however it was made: its clone call, its handle, waiting, results, and what it started."""
