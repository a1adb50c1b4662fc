"""Tests of Tutela."""
