"""How a test of generated input ends depends on the library alone.

How long an input takes says how busy the machine is. Examples that failed before are kept nowhere: their
folder is another user's at times, which Hypothesis warns of, and a warning fails a test.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    __name__, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(__name__)
