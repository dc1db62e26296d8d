"""One child, whoever made it: its clone call, its handle, waiting, results, and what it started."""
