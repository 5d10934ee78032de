"""Rented machines: what they cost, the typed consent, Brev's command line, and what is billing now."""
