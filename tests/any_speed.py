"""How long a generated input takes says how busy the machine is: no test of them fails for that."""

from hypothesis import HealthCheck, settings

settings.register_profile(__name__, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(__name__)
