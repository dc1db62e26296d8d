"""Wheels for other machines than this one, audited and tried."""
