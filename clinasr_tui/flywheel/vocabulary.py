"""The fixed vocabularies and field names of the clinical manifest (method, section 1)."""

from __future__ import annotations

ENTITY_CATEGORIES = ("drug", "procedure", "anatomy", "condition", "lab", "role")
IPA_SOURCES = ("override", "merriam-webster", "magpie_g2p")
# Published values; an operator's own are fine, so these are suggestions and not a check.
NOISE_LEVELS = ("clean", "snr_15db", "snr_5db")
CONTEXT_TYPES = ("dictation", "handoff", "chart_note", "history")

# Clinical fields a manifest row and a hypothesis row share.
CLINICAL_FIELDS = ("term", "entity_category", "ipa_source", "voice_id", "noise_level", "context_type")
# The fields a leaderboard groups KER by, in the published order.
SECTION_FIELDS = ("entity_category", "ipa_source", "noise_level")
