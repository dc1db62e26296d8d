"""VM: shares the memory."""

import ramet
from ramet import CloneFlag as F

words = ["one"]
ramet.clone(words.append, "two").result()
print(words)  # ['one']
ramet.clone(words.append, "two", flags=F.VM).result()
print(words)  # ['one', 'two']
