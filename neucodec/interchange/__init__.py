"""Carry codes over to and from other formats: .ecdc and .dac (`peers`), arrays (`tokens`)."""
