"""Alicia, a home assistant made of small services that speak MQTT."""
