"""P6: the other three bytes of flags are the clone flags; clone3 has eight."""

import ramet
from ramet import CloneFlag as F

print(F.CSIGNAL | F.VM)  # CLONE_VM|CSIGNAL
print(int(F.CLEAR_SIGHAND) > 0xFFFFFFFF)  # True: more than clone() has room for
print(ramet.predict(F.CLEAR_SIGHAND, call="clone").notes[0].id)  # P2
print(ramet.predict(F.CLEAR_SIGHAND, call="clone3").granted)  # True
