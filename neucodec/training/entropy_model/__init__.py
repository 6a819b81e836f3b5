"""Train and export models of a codec's codes, by which entropy coding squeezes them."""
