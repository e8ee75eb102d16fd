"""Nouns: frozen values without IO and without any tool's text."""
